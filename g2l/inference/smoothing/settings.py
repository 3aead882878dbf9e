"""Which smoothing, and how much of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from g2l.errors import InputError
from g2l.settings import Settings


class SmoothingKind(StrEnum):
    """How labels are smoothed."""

    NONE = "none"
    """The most probable class of every frame."""
    MIN_DURATION = "min-duration"
    """Segments that are too short go to their neighbours."""
    MEDIAN = "median"
    """Each frame takes the label that most frames around it have."""
    VITERBI = "viterbi"
    """The most probable sequence, given how often training saw one class follow another."""


@dataclass(frozen=True)
class Duration:
    """A length of time.

    Attributes:
        value: Above 0; whole if it counts frames.
        in_seconds: Whether it counts seconds.
    """

    value: float
    in_seconds: bool = False

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Return what `15` (frames) or `0.5s` (seconds) says.

        Args:
            text: What the user gave.
            name: What the error calls it.

        Raises:
            InputError: It is neither.
        """
        found = re.fullmatch(r"(\d+)|(\d+(?:\.\d+)?|\.\d+)s", text.strip(), re.ASCII)
        duration = found and (cls(int(found[1])) if found[1] else cls(float(found[2]), True))
        if not duration or not 0 < duration.value < math.inf:
            raise InputError(
                f"`{name}` must be a number of frames, such as 15, or of seconds, such as 0.5s, "
                f"but is {text!r} instead."
            )
        return duration

    def frames(self, fps: float | None) -> int:
        """Return the least number of frames that lasts as long, 1 or more.

        Raises:
            InputError: It is in seconds, and the frame rate is unknown.
        """
        if not self.in_seconds:
            return int(self.value)
        if fps is None:
            raise InputError(
                f"{self} cannot be counted in frames: the model does not know the frame rate.",
                hint="give --fps, or a number of frames.",
            )
        return max(1, math.ceil(round(self.value * fps, 6)))  # 0.1 s at 30 fps is 3 frames, not 3.0000000004

    def __str__(self) -> str:
        return f"{self.value:g}s" if self.in_seconds else f"{self.value:g}"


@dataclass(frozen=True, kw_only=True)
class Smoothing(Settings):
    """How labels are smoothed, with the one parameter that each kind has.

    Attributes:
        kind: Which.
        duration: Least duration of a segment (`min-duration`), or length of the window (`median`).
        weight: How much the transitions count beside the network (`viterbi`): their logarithms are
            multiplied by it; 0 leaves them out.
    """

    kind: SmoothingKind = SmoothingKind.NONE
    duration: Duration | None = None
    weight: float = 1.0

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        timed = self.kind in (SmoothingKind.MIN_DURATION, SmoothingKind.MEDIAN)
        if timed != (self.duration is not None):
            need = "must be given" if timed else "must be left out"
            yield f"`duration` {need} for smoothing by {self.kind}."
        if not 0 <= self.weight < math.inf:
            yield f"`weight` must be >= 0 and finite, but is {self.weight} instead."

    def __str__(self) -> str:
        parameter = self.weight if self.kind is SmoothingKind.VITERBI else self.duration
        return str(self.kind) if self.kind is SmoothingKind.NONE else f"{self.kind} {parameter}"
