"""An encoder of frames or clips: any `.onnx` file with a batch of images as its one input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from g2l.errors import InputError
from g2l.inference.devices import Device, confirm, plan_providers
from g2l.inference.sessions import load_onnx, run_failed
from g2l.inference.settings import ExtractionConfig, three_numbers

if TYPE_CHECKING:
    from av import VideoFrame

Image = npt.NDArray[np.uint8]
"""Shape (H, W, 3), red first."""

Colour: TypeAlias = tuple[float, float, float]
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue between 0 and 1, as most published encoders were trained with."""

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_EXPECTED = "one input (N, 3, H, W) of frames or (N, 3, T, H, W) of clips, as float, float16 or uint8"
_SIZE, _CLIP_FRAMES = 224, 16
"""Defaults for dimensions that the encoder leaves open."""


class EncoderInput(NamedTuple):
    """Input of an encoder: `batch` None is any number, `clip_frames` None is single frames."""

    name: str
    batch: int | None
    clip_frames: int | None
    height: int
    width: int
    dtype: np.dtype[Any]


class Encoder:
    """Runs an encoder; InputError if its input, its outputs and the settings do not fit.

    `colours` are mean and standard deviation of red, green, blue between 0 and 1; None for one of uint8.
    """

    def __init__(self, config: ExtractionConfig) -> None:
        self._path = path = config.encoder
        plan = plan_providers(Device(config.device))
        self._session = load_onnx(path, plan)
        self.device_report = confirm(plan, self._session.get_providers())
        self.input = _input(path, self._session.get_inputs(), config.size, config.clip_frames)
        self.output = _output(path, self._session.get_outputs(), config.encoder_output)
        self.colours: tuple[Colour, Colour] | None = (
            IMAGENET_MEAN if config.mean is None else three_numbers(config.mean),
            IMAGENET_STD if config.std is None else three_numbers(config.std),
        )
        if self.input.dtype == np.uint8:
            self.colours = None
            if (config.mean, config.std) != (None, None):
                raise InputError("`mean` and `std` are for encoders of float, but this one takes uint8.")

    def encode(self, images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return features (N, D) of images (N, 3, H, W) or clips (N, 3, T, H, W).

        InputError if the output is not one row of numbers for each image.
        """
        count = len(images)
        if self.input.batch is not None:  # a fixed batch: the last one is filled up
            images = np.concatenate([images, images[:1].repeat(self.input.batch - count, axis=0)])
        try:
            found = self._session.run([self.output], {self.input.name: images})[0]
        except Exception as error:  # onnxruntime's errors have no common base class
            raise run_failed(error) from error
        features = np.asarray(found, dtype=np.float32)
        if features.ndim < 2 or len(features) != len(images) or set(features.shape[2:]) - {1}:
            raise InputError(
                f"{self._path}: expected an output (N, D), but `{self.output}` is {features.shape} for a "
                f"batch of {len(images)}.",
                hint="export the encoder with its pooling layer.",
            )
        return features.reshape(len(images), -1)[:count]


def _input(path: Path, values: list[Any], size: int | None, clip_frames: int | None) -> EncoderInput:
    shown = ", ".join(f"`{value.name}` {_shape(value)} {value.type}" for value in values) or "none"
    first = values[0] if len(values) == 1 else None
    if first is None or len(first.shape) not in (4, 5) or first.shape[1] != 3 or first.type not in _TYPES:
        raise InputError(f"{path}: expected {_EXPECTED}, but found {shown}.")
    batch, _, *frames, height, width = first.shape
    if not frames and clip_frames is not None:
        raise InputError(f"{path}: `clip_frames` is for encoders of clips, but it takes frames: {shown}.")
    return EncoderInput(
        name=first.name,
        batch=batch if isinstance(batch, int) else None,
        clip_frames=_fixed(path, "clip_frames", frames[0], clip_frames, _CLIP_FRAMES) if frames else None,
        height=_fixed(path, "size", height, size, _SIZE),
        width=_fixed(path, "size", width, size, _SIZE),
        dtype=np.dtype(_TYPES[first.type]),
    )


def _fixed(path: Path, option: str, of_encoder: Any, given: int | None, default: int) -> int:
    """Return a length that the encoder fixes or else the user."""
    if not isinstance(of_encoder, int):
        return default if given is None else given
    if given not in (None, of_encoder):
        raise InputError(f"`{option}` is {given}, but {path} takes {of_encoder} only.")
    return of_encoder


def _output(path: Path, values: list[Any], name: str | None) -> str:
    shown = ", ".join(f"`{value.name}` {_shape(value)}" for value in values)
    if name is not None:
        if name not in [value.name for value in values]:
            raise InputError(f"{path}: expected an output `{name}`, but found {shown}.")
        return name
    # (N, D), but for axes of length 1 or of unknown length
    fitting = [
        value.name
        for value in values
        if len(value.shape) >= 2 and not any(isinstance(one, int) and one != 1 for one in value.shape[2:])
    ]
    if len(fitting) != 1:
        hint = "--encoder-output names the one to take." if fitting else "export it with its pooling layer."
        raise InputError(f"{path}: expected one output (N, D), but found {shown}.", hint=hint)
    return str(fitting[0])


def _shape(value: Any) -> str:
    return f"({', '.join(str(length) for length in value.shape)})"


def fit(frame: VideoFrame, height: int, width: int) -> Image:
    """Return a frame upright, scaled until it just covers height × width, and cut to its middle."""
    turns = round((frame.rotation or 0) / 90) % 4
    rows, columns = (frame.width, frame.height) if turns % 2 else (frame.height, frame.width)
    scale = max(height / rows, width / columns)
    rows, columns = max(height, round(rows * scale)), max(width, round(columns * scale))
    lying = (columns, rows) if turns % 2 else (rows, columns)
    scaled = frame.reformat(width=lying[1], height=lying[0], format="rgb24", interpolation="BILINEAR")
    image = np.rot90(scaled.to_ndarray(), turns)  # counterclockwise, as the rotation counts
    top, left = (rows - height) // 2, (columns - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def to_batch(images: Sequence[Sequence[Image]], encoder: Encoder) -> npt.NDArray[Any]:
    """Return the frames of each clip as the encoder takes them; for an encoder of frames one each."""
    stacked: npt.NDArray[Any] = np.stack([np.stack(clip) for clip in images])  # (N, T, H, W, 3)
    if encoder.colours is not None:
        mean, std = (np.asarray(each, np.float32) for each in encoder.colours)
        stacked = (stacked.astype(np.float32) / 255 - mean) / std
    channels_first = stacked.transpose(0, 4, 1, 2, 3)  # -> (N, 3, T, H, W)
    if encoder.input.clip_frames is None:
        channels_first = channels_first[:, :, 0]
    return np.ascontiguousarray(channels_first, dtype=encoder.input.dtype)
