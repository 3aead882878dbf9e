"""Models in fp16 or int8: made from fp32, compared with it by labels and segments, refused where worse."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.errors import OperationalError
from g2l.export.conversion import half, quantized, rounded
from g2l.export.parity import Batch, check_lengths, open_runner
from g2l.metrics.accumulator import SegmentationMetrics
from g2l.metrics.scores import F1_THRESHOLDS
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure

LEAST_AGREEMENT = 99.0
"""Percentage of frames whose label a reduced model must keep."""
LEAST_F1 = 98.0
"""Mean F1@{10,25,50} that its segments must have, those of fp32 being the truth. Segments that flicker in or
out cost labels almost nothing, so labels alone would not show them."""
LARGEST_F1_LOSS = 2.0
"""Points of the same mean that it may lose against the ground truth, where that is known."""

_log = logging.getLogger("g2l")


class Precision(StrEnum):
    """Number format of weights and computation; inputs and outputs are float32 always."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


@dataclass(frozen=True)
class Video:
    """A video that a model is calibrated and compared on; its features stay on disk until they are loaded.

    Attributes:
        name: For messages.
        load: Returns the features (D, T) as the network takes them, at its frame rate.
        truth: Class index of every frame, (T,) or a few more or fewer, or None where it is not known.
    """

    name: str
    load: Callable[[], npt.NDArray[np.float32]]
    truth: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, kw_only=True)
class PrecisionReport:
    """Comparison of a reduced model with fp32. All shares are percentages.

    Attributes:
        precision: Fp16 or int8.
        inputs: `videos` or `random`: what it was compared on. Random numbers have neither segments nor the
            range of real features.
        videos: Their number.
        frames: Their length in all, at the network's frame rate.
        agreement: Share of frames with the same most probable class.
        f1: Mean F1@{10,25,50} of its segments against those of fp32, background included; None on random
            inputs.
        f1_change: Its mean F1@{10,25,50} against the ground truth minus that of fp32, or None.
        max_difference: Largest absolute difference of a probability.
        nan_frames: Frames for which it gives NaN; they count as frames with another class.
        size: Of the model, as a share of fp32's.
        calibration_frames: Frames that int8 was fitted to; 0 for fp16.
        forced: Whether it was kept although it falls short.
    """

    precision: Precision
    inputs: str
    videos: int
    frames: int
    agreement: float
    f1: float | None = None
    f1_change: float | None = None
    max_difference: float
    nan_frames: int = 0
    size: float = 100.0
    calibration_frames: int = 0
    forced: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON value that the model's metadata keeps."""
        return asdict(self)

    @property
    def measured(self) -> dict[str, float]:
        """The known numbers by name."""
        names = ("agreement", "f1", "f1_change", "max_difference", "nan_frames", "size")
        values = {name: getattr(self, name) for name in names}
        return {name: float(value) for name, value in values.items() if value is not None}

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """Found and required value of each number that falls short; empty if none does."""
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

    def accepted(self, path: Path, *, force: bool) -> PrecisionReport:
        """Return this report if the model may be kept, marked where it is only because of `force`.

        Raises:
            OperationalError: It falls short.
        """
        if not self.shortfalls:
            return self
        reasons = f"{path}: the {self.precision} model {' and '.join(self.shortfalls)}"
        if force:
            _log.warning("%s; it is written because of --force.", reasons)
            return replace(self, forced=True)
        hint = "export with --precision fp32; --force writes it all the same."
        if self.precision is Precision.INT8:
            hint = (
                "give --calibration videos like those it will see, or export with --precision fp16 or fp32."
            )
        raise OperationalError(f"{reasons}; nothing was written.", hint=hint)


def reduce_precision(
    proto: Any, precision: Precision, videos: Sequence[Video], metadata: ModelMetadata, *, frame_mask: bool
) -> tuple[Any, PrecisionReport]:
    """Return the `onnx.ModelProto` in fp16 or int8, and its comparison with fp32.

    Args:
        proto: The fp32 model; left as it is.
        precision: Fp16 or int8.
        videos: Real videos to compare on, and to calibrate int8 with. Without any, fp16 is compared on random
            features.
        metadata: Of the model.
        frame_mask: Whether the model takes a frame mask.

    Raises:
        OperationalError: It cannot be converted or run.
    """
    exact = proto.SerializeToString()
    background = [number for number, name in enumerate(metadata.classes) if name in metadata.background]
    compared = videos or random_videos(metadata.structure, metadata.feature_dim)
    compare = partial(
        compare_on_videos, exact, precision=precision, background=background, frame_mask=frame_mask
    )
    if precision is Precision.FP16:
        result, frames = half(proto), 0
        smaller = result.SerializeToString()
        compare(smaller, compared[:1])  # the file runs; a CPU shows no more of it, see `rounded`
        found = compare(rounded(proto).SerializeToString(), compared)
    else:
        result, frames = quantized(proto, videos, frame_mask=frame_mask)
        smaller = result.SerializeToString()
        found = compare(smaller, compared)
    found = replace(found, size=100.0 * len(smaller) / len(exact), calibration_frames=frames)
    return result, found if videos else replace(found, inputs="random", f1=None)


def random_videos(structure: DilationStructure, feature_dim: int) -> list[Video]:
    """Return features that are standard normal numbers, of the lengths that an export is compared at."""

    def load(frames: int) -> npt.NDArray[np.float32]:
        return np.random.default_rng(frames).standard_normal((feature_dim, frames), dtype=np.float32)

    lengths = sorted({frames for _, frames in check_lengths(structure)})
    return [Video(f"{frames} random frames", partial(load, frames)) for frames in lengths]


def compare_on_videos(
    exact: bytes,
    reduced: bytes,
    videos: Sequence[Video],
    *,
    precision: Precision,
    background: Sequence[int],
    frame_mask: bool,
) -> PrecisionReport:
    """Run both models on the CPU over all videos, one in memory at a time.

    Args:
        exact: The fp32 ONNX model.
        reduced: The other one.
        videos: At least one.
        precision: Of the other one.
        background: Class indices whose segments are left out of F1 to the ground truth.
        frame_mask: Whether both take a frame mask.

    Raises:
        OperationalError: onnxruntime cannot load or run one of them, or fp32 itself gives NaN.
    """
    runners = [open_runner(model) for model in (exact, reduced)]
    frames = same = nan_frames = 0
    max_difference = 0.0
    # Background counts here: the two must not differ in it either, and no video is without segments.
    to_exact = SegmentationMetrics()
    to_truth = [SegmentationMetrics(background=background) for _ in runners]
    for video in videos:
        features = video.load()[None]
        inputs: dict[str, Batch] = {"features": features}
        if frame_mask:
            inputs["frame_mask"] = np.ones((1, 1, features.shape[2]), np.float32)
        expected, found = (run(inputs)[0] for run in runners)
        if not np.isfinite(expected).all():
            raise OperationalError(f"{video.name}: the fp32 model gives NaN; nothing was written.")
        finite = np.isfinite(found).all(axis=0)
        labels = [probabilities.argmax(axis=0) for probabilities in (expected, found)]
        frames += len(finite)
        same += int(((labels[0] == labels[1]) & finite).sum())
        nan_frames += int((~finite).sum())
        if finite.any():
            max_difference = max(max_difference, float(np.abs(found - expected)[:, finite].max()))
        to_exact.update(labels[1], labels[0])
        if video.truth is not None:
            length = min(len(video.truth), len(finite))
            for metrics, predicted in zip(to_truth, labels, strict=True):
                metrics.update(predicted[:length], video.truth[:length])
    known = any(video.truth is not None for video in videos)
    return PrecisionReport(
        precision=precision,
        inputs="videos",
        videos=len(videos),
        frames=frames,
        agreement=100.0 * same / frames,
        f1=mean_f1(to_exact),
        f1_change=mean_f1(to_truth[1]) - mean_f1(to_truth[0]) if known else None,
        max_difference=max_difference,
        nan_frames=nan_frames,
    )


def mean_f1(metrics: SegmentationMetrics) -> float:
    """Return the mean of F1@{10,25,50} in percent."""
    scores = metrics.compute()
    return sum(scores[f"f1@{threshold}"] for threshold in F1_THRESHOLDS) / len(F1_THRESHOLDS)
