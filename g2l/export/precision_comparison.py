"""Comparing a reduced model with fp32, on real videos or, for want of them, on random features."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from g2l.errors import OperationalError
from g2l.export.parity import Probabilities, Runner, check_lengths, open_runner
from g2l.metrics.accumulator import SegmentationMetrics
from g2l.metrics.scores import F1_THRESHOLDS
from g2l.structure import DilationStructure


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


def random_videos(structure: DilationStructure, feature_dim: int) -> list[Video]:
    """Return features that are standard normal numbers, of the lengths that an export is compared at."""

    def load(frames: int) -> npt.NDArray[np.float32]:
        return np.random.default_rng(frames).standard_normal((feature_dim, frames), dtype=np.float32)

    lengths = sorted({frames for _, frames in check_lengths(structure)})
    return [Video(f"{frames} random frames", partial(load, frames)) for frames in lengths]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two models say of the same videos; the attributes are those of `PrecisionReport`.

    Attributes:
        speed: How many times as fast as fp32 the reduced model ran here. It is no property of the model.
    """

    videos: int
    frames: int
    agreement: float
    f1: float
    f1_change: float | None
    max_difference: float
    nan_frames: int
    speed: float


def compare_on_videos(
    exact: bytes,
    reduced: bytes,
    videos: Sequence[Video],
    *,
    background: Sequence[int],
    frame_mask: bool,
) -> Comparison:
    """Run both models on the CPU over all videos, one in memory at a time.

    Args:
        exact: The fp32 ONNX model.
        reduced: The other one.
        videos: At least one.
        background: Class indices whose segments are left out of F1 to the ground truth.
        frame_mask: Whether both take a frame mask.

    Raises:
        OperationalError: onnxruntime cannot load or run one of them, or fp32 itself gives NaN.
    """
    runners = [_Timed(open_runner(model), frame_mask=frame_mask) for model in (exact, reduced)]
    tally = _Tally(background)
    for number, video in enumerate(videos):
        features = video.load()[None]
        if number == 0:
            for runner in runners:
                runner.warm_up(features)
        expected, found = (runner(features) for runner in runners)
        if not np.isfinite(expected).all():
            raise OperationalError(f"{video.name}: the fp32 model gives NaN; nothing was written.")
        tally.add(expected, found, video.truth)
    return Comparison(
        videos=len(videos),
        frames=tally.frames,
        agreement=100.0 * tally.same / tally.frames,
        f1=mean_f1(tally.segments),
        f1_change=tally.f1_change,
        max_difference=tally.max_difference,
        nan_frames=tally.nan_frames,
        speed=runners[0].seconds / runners[1].seconds,
    )


def mean_f1(metrics: SegmentationMetrics) -> float:
    """Return the mean of F1@{10,25,50} in percent."""
    scores = metrics.compute()
    return sum(scores[f"f1@{threshold}"] for threshold in F1_THRESHOLDS) / len(F1_THRESHOLDS)


class _Timed:
    """Runs a model and adds up the seconds it takes."""

    def __init__(self, run: Runner, *, frame_mask: bool) -> None:
        self._run = run
        self._frame_mask = frame_mask
        self.seconds = 0.0

    def warm_up(self, features: Probabilities) -> None:
        """Run once off the clock."""
        self(features)
        self.seconds = 0.0

    def __call__(self, features: Probabilities) -> Probabilities:
        """Return the probabilities (C, T) of features (1, D, T)."""
        inputs: dict[str, Probabilities] = {"features": features}
        if self._frame_mask:
            inputs["frame_mask"] = np.ones((1, 1, features.shape[2]), np.float32)
        start = time.perf_counter()
        probabilities: Probabilities = self._run(inputs)[0]
        self.seconds += time.perf_counter() - start
        return probabilities


class _Tally:
    """Adds up the comparison of two models over videos."""

    def __init__(self, background: Sequence[int]) -> None:
        self.frames = self.same = self.nan_frames = 0
        self.max_difference = 0.0
        # Background counts here: the two must not differ in it either, and no video is without segments.
        self.segments = SegmentationMetrics()
        self._to_truth = [SegmentationMetrics(background=background) for _ in range(2)]
        self._truths = 0

    def add(self, expected: Probabilities, found: Probabilities, truth: npt.NDArray[np.int64] | None) -> None:
        """Compare (C, T) with (C, T)."""
        finite = np.isfinite(found).all(axis=0)
        labels, theirs = found.argmax(axis=0), expected.argmax(axis=0)
        self.frames += len(labels)
        self.same += int(((labels == theirs) & finite).sum())
        self.nan_frames += int((~finite).sum())
        if finite.any():
            difference = np.abs(found - expected)[:, finite].max()
            self.max_difference = max(self.max_difference, float(difference))
        self.segments.update(labels, theirs)
        if truth is not None:
            self._truths += 1
            length = min(len(truth), len(labels))
            for metrics, predicted in zip(self._to_truth, (labels, theirs), strict=True):
                metrics.update(predicted[:length], truth[:length])

    @property
    def f1_change(self) -> float | None:
        """Mean F1 to the truth, found minus expected, or None without truths."""
        found, expected = map(mean_f1, self._to_truth)
        return found - expected if self._truths else None
