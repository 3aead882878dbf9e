"""What a model may lose in fp16 or int8, and what is kept of how much it loses."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from g2l.errors import OperationalError

LEAST_AGREEMENT = 99.0
"""Percentage of frames whose label a reduced model must keep."""
LEAST_F1 = 98.0
"""Mean F1@{10,25,50} that its segments must have, those of fp32 being the truth. Segments that flicker in or
out cost labels almost nothing, so labels alone would not show them."""
LARGEST_F1_LOSS = 2.0
"""Points of the same mean that it may lose against the ground truth, where that is known."""

_log = logging.getLogger("g2l")


class Precision(StrEnum):
    """Number format of the weights and of what is computed; inputs and outputs are float32 always."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class Inputs(StrEnum):
    """What a reduced model was compared on."""

    VIDEOS = "videos"
    RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class PrecisionReport:
    """How a reduced model compares with fp32. All shares are percentages.

    Attributes:
        precision: Fp16 or int8.
        inputs: What it was compared on; random numbers have neither segments nor the range of real features.
        videos: Their number.
        frames: Their length in all, at the network's frame rate.
        agreement: Share of frames with the same most probable class.
        f1: Mean F1@{10,25,50} of its segments against those of fp32, background included; None on random
            inputs.
        f1_change: Its mean F1@{10,25,50} against the ground truth minus that of fp32, or None.
        max_difference: Largest absolute difference of a probability.
        nan_frames: Frames for which it gives NaN; they count as frames with another class.
        size: Of the model, as a share of fp32's.
        calibration_frames: Frames whose range of numbers int8 was fitted to; 0 for fp16.
        forced: Whether it was kept although it is worse than what is needed.
    """

    precision: Precision
    inputs: Inputs
    videos: int
    frames: int
    agreement: float
    f1: float | None = None
    f1_change: float | None = None
    max_difference: float
    nan_frames: int = 0
    size: float
    calibration_frames: int = 0
    forced: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON value that the model's metadata keeps."""
        return asdict(self)

    @property
    def real(self) -> bool:
        """Whether it was compared on real videos."""
        return self.inputs is Inputs.VIDEOS

    @property
    def measured(self) -> dict[str, float]:
        """The numbers by name, without those that are not known."""
        names = ("agreement", "f1", "f1_change", "max_difference", "nan_frames", "size")
        values = {name: getattr(self, name) for name in names}
        return {name: float(value) for name, value in values.items() if value is not None}

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """What is found and what is needed, for each number that falls short; empty if none does."""
        found = []
        if self.agreement < LEAST_AGREEMENT:
            nan = f", {self.nan_frames} of {self.frames} frames being NaN," if self.nan_frames else ""
            found.append(
                f"keeps {self.agreement:.1f} % of the labels of fp32{nan} where {LEAST_AGREEMENT:.0f} % "
                f"are needed"
            )
        if self.f1 is not None and self.f1 < LEAST_F1:
            found.append(f"has F1 {self.f1:.1f} against its segments where {LEAST_F1:.0f} is needed")
        if self.f1_change is not None and self.f1_change < -LARGEST_F1_LOSS:
            found.append(
                f"loses {-self.f1_change:.1f} points of F1 to the ground truth where {LARGEST_F1_LOSS:.0f} "
                f"are allowed"
            )
        return tuple(found)


def accept(report: PrecisionReport, path: Path, *, force: bool) -> PrecisionReport:
    """Return the report if the model may be kept, marked where it is only because of `force`.

    Raises:
        OperationalError: It falls short; what was found and what is needed is told.
    """
    if not report.shortfalls:
        return report
    reasons = f"{path}: the {report.precision} model {' and '.join(report.shortfalls)}"
    if force:
        _log.warning("%s; it is written because of --force.", reasons)
        return replace(report, forced=True)
    raise OperationalError(f"{reasons}; nothing was written.", hint=_hint(report))


def _hint(report: PrecisionReport) -> str:
    if report.precision is Precision.INT8:
        return "give --calibration videos like those it will see, or export with --precision fp16 or fp32."
    return "export with --precision fp32; --force writes it all the same."
