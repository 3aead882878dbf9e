"""What to extract features of, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from g2l.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ExtractionRequest:
    """What to extract.

    Attributes:
        videos: Folder of videos.
        encoder: A `.onnx` file.
        output: Folder for `<video>.npy` and `features.json`.
        fps: Features per second of video.
        mean: Of red, green and blue between 0 and 1; None is ImageNet's.
        std: The same.
        size: As of `Encoder`.
        clip_frames: As of `Encoder`.
        encoder_output: As of `Encoder`.
        batch_size: Frames or clips that are encoded at once.
        device: What runs the encoder.
    """

    videos: Path
    encoder: Path
    output: Path
    fps: float = 15.0
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    size: int | None = None
    clip_frames: int | None = None
    encoder_output: str | None = None
    batch_size: int = 32
    device: str = "auto"

    def validate(self) -> None:
        """Check the settings.

        Raises:
            InputError: Some are out of range; all of them are named.
        """
        wrong = []
        if not 0 < self.fps <= 500:
            wrong.append(f"`fps` must be in (0, 500], but is {self.fps} instead.")
        for name in ("size", "clip_frames", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                wrong.append(f"`{name}` must be >= 1, but is {value} instead.")
        if wrong:
            raise InputError(" ".join(wrong))
