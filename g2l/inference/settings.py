"""Settings of the extraction of features; light, since every `g2l --help` imports them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from g2l.settings import Rank, Settings, setting

_first = partial(setting, rank=Rank.FIRST)


class ExtractionConfig(Settings):
    """Videos whose features are extracted, and by which encoder."""

    videos: Path = _first(Path(), "Folder of videos.", required=True)
    encoder: Path = _first(
        Path(), "Encoder (.onnx) of frames (N, 3, H, W) or clips (N, 3, T, H, W).", required=True
    )
    output: Path = _first(Path(), "Output folder for <video>.npy and features.json.", required=True)
    fps: float = _first(15.0, "Feature vectors per second of video.", above=0, at_most=500)
    mean: str | None = setting(
        None, "Mean of red, green and blue (0 to 1), such as 0.5,0.5,0.5.", default_text="ImageNet"
    )
    std: str | None = setting(None, "Standard deviation of red, green and blue.", default_text="ImageNet")
    size: int | None = setting(
        None,
        "Height and width of frames, if the encoder accepts any.",
        unit="pixels",
        at_least=1,
        default_text="224",
    )
    clip_frames: int | None = setting(
        None, "Frames per clip, if the encoder accepts any.", unit="frames", at_least=1, default_text="16"
    )
    encoder_output: str | None = setting(None, "Output to read from an encoder with several.")
    batch_size: int = setting(32, "Frames or clips per batch.", at_least=1)
    device: str = _first("auto", "Device to run on.", choices=("auto", "cpu", "cuda"))

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        yield from super().errors()
        for name, above, lowest in (("mean", "", -math.inf), ("std", " > 0", 0.0)):
            text = getattr(self, name)
            if text is not None and not all(lowest < value < math.inf for value in three_numbers(text)):
                yield f"`{name}` must be three numbers{above}, such as 0.5,0.5,0.5, but is {text!r} instead."


def three_numbers(text: str) -> tuple[float, float, float]:
    """Return the numbers of a text such as `0.5,0.5,0.5`, NaN where it is invalid."""
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        return math.nan, math.nan, math.nan
    return first, second, third
