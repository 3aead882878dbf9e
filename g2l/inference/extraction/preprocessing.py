"""From a frame of a video to what an encoder takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from g2l.errors import InputError
from g2l.inference.extraction.encoder import EncoderInput

if TYPE_CHECKING:
    from av import VideoFrame

Image = npt.NDArray[np.uint8]
"""Shape (H, W, 3), red first."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue between 0 and 1, as most published encoders were trained with."""


@dataclass(frozen=True)
class Normalization:
    """What is subtracted from colours between 0 and 1, and what the rest is divided by.

    Attributes:
        mean: Of red, green and blue.
        std: The same; > 0.
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


def plan_normalization(
    takes: EncoderInput, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Normalization | None:
    """Return the normalisation for an encoder, ImageNet's where none is given; None for encoders of uint8.

    Raises:
        InputError: A mean or a standard deviation is not three numbers, is not > 0, or is given to an encoder
            of uint8, which takes colours from 0 to 255 as they are.
    """
    if takes.dtype == np.uint8:
        if mean is not None or std is not None:
            raise InputError("`mean` and `std` are for encoders of float, but this one takes uint8.")
        return None
    return Normalization(
        _three("mean", IMAGENET_MEAN if mean is None else mean, lowest=-np.inf),
        _three("std", IMAGENET_STD if std is None else std, lowest=0),
    )


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


def to_batch(
    images: Sequence[Sequence[Image]], takes: EncoderInput, normalization: Normalization | None
) -> npt.NDArray[Any]:
    """Return what the encoder takes.

    Args:
        images: The frames of each clip; for an encoder of frames one each.
        takes: Decides axes and type.
        normalization: None for uint8.
    """
    stacked: npt.NDArray[Any] = np.stack([np.stack(clip) for clip in images])  # (N, T, H, W, 3)
    if normalization is not None:
        mean, std = (np.asarray(each, np.float32) for each in (normalization.mean, normalization.std))
        stacked = (stacked.astype(np.float32) / 255 - mean) / std
    channels_first = stacked.transpose(0, 4, 1, 2, 3)  # -> (N, 3, T, H, W)
    if takes.clip_frames is None:
        channels_first = channels_first[:, :, 0]
    return np.ascontiguousarray(channels_first, dtype=takes.dtype)


def _three(name: str, values: Sequence[float], lowest: float) -> tuple[float, float, float]:
    if len(values) != 3 or not all(lowest < value < np.inf for value in values):
        above = " > 0" if lowest == 0 else ""
        shown = ", ".join(map(str, values))
        raise InputError(f"`{name}` must be three numbers{above}, but is {shown} instead.")
    first, second, third = (float(value) for value in values)
    return first, second, third
