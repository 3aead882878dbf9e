"""The step of an export that makes fp16 or int8 of the fp32 model and decides whether it may be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from g2l.errors import InputError
from g2l.export.precision import Inputs, Precision, PrecisionReport, accept
from g2l.export.precision_comparison import Comparison, Video, compare_on_videos, random_videos
from g2l.export.precision_conversion import half, quantized
from g2l.export.precision_rounding import rounded
from g2l.export.report import ExportReport
from g2l.models.metadata import ModelMetadata


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """What is made of an fp32 model.

    Attributes:
        precision: Fp16 or int8.
        videos: Real videos to compare on, and to calibrate int8 with. Without any, fp16 is compared on random
            features.
        force: Whether to keep a model that falls short.
    """

    precision: Precision
    videos: Sequence[Video] = ()
    force: bool = False

    def validate(self) -> Reduction:
        """Return this reduction.

        Raises:
            InputError: Int8 has no videos, or there is nothing to reduce to.
        """
        if self.precision is Precision.FP32:
            raise InputError("`precision` must be fp16 or int8 to be reduced to, but is fp32 instead.")
        if self.precision is Precision.INT8 and not self.videos:
            raise InputError("int8 must be calibrated on real features, but none are given.")
        return self


def reduced(
    proto: Any, reduction: Reduction, report: ExportReport, metadata: ModelMetadata, *, frame_mask: bool
) -> tuple[Any, ExportReport, ModelMetadata]:
    """Return the reduced `onnx.ModelProto`, which was compared with fp32, with the report and metadata of it.

    Args:
        proto: The fp32 model; left as it is.
        reduction: What to make of it.
        report: On the fp32 model.
        metadata: Of the fp32 model.
        frame_mask: Whether the model takes a frame mask.

    Raises:
        OperationalError: It cannot be converted or run, or it falls short and is not forced.
    """
    exact = proto.SerializeToString()
    background = [number for number, name in enumerate(metadata.classes) if name in metadata.background]
    compare = partial(compare_on_videos, exact, background=background, frame_mask=frame_mask)
    videos = reduction.videos or random_videos(metadata.structure, metadata.feature_dim)
    if reduction.precision is Precision.FP16:
        result, frames = half(proto), 0
        smaller = result.SerializeToString()
        compare(smaller, videos[:1])  # the file runs; a CPU tells no more of it, see `rounded`
        found = compare(rounded(proto).SerializeToString(), videos)
    else:
        result, frames = quantized(proto, reduction.videos, frame_mask=frame_mask)
        smaller = result.SerializeToString()
        found = compare(smaller, videos)
    size = 100.0 * len(smaller) / len(exact)
    judged = accept(_report(reduction, found, size, frames), report.path, force=reduction.force)
    speed = found.speed if reduction.precision is Precision.INT8 else None
    return result, replace(report, reduced=judged, speed=speed), replace(metadata, precision=judged.as_dict())


def _report(reduction: Reduction, found: Comparison, size: float, frames: int) -> PrecisionReport:
    return PrecisionReport(
        precision=reduction.precision,
        inputs=Inputs.VIDEOS if reduction.videos else Inputs.RANDOM,
        videos=found.videos,
        frames=found.frames,
        agreement=found.agreement,
        f1=found.f1 if reduction.videos else None,
        f1_change=found.f1_change,
        max_difference=found.max_difference,
        nan_frames=found.nan_frames,
        size=size,
        calibration_frames=frames,
    )
