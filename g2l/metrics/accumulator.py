"""All metrics over many videos: one pass, mergeable across processes."""

from __future__ import annotations

import math
from collections.abc import Collection

from g2l.metrics.accuracy import accuracy_counts
from g2l.metrics.edit import edit_score
from g2l.metrics.f1 import F1_THRESHOLDS, F1Counts, f1_counts
from g2l.metrics.frames import LabelArray, percentage
from g2l.metrics.segments import Convention, scored_segments


class SegmentationMetrics:
    """Accuracy, Edit and F1@{10,25,50} in percent over the videos seen so far (METHOD, section 5).

    Frames and segment counts are pooled over videos; Edit is averaged over videos. The result does
    not depend on the order of updates and merges.

    Args:
        background: Class indices whose segments count neither for Edit nor for F1.
        convention: Where the last segment of a video ends.
    """

    def __init__(
        self, *, background: Collection[int] = (), convention: Convention = Convention.MSTCN
    ) -> None:
        self.background = frozenset(int(index) for index in background)
        self.convention = Convention(convention)
        self._correct = 0
        self._frames = 0
        # One score per video instead of a sum: an exactly rounded sum of them knows no order.
        self._edits: list[float] = []
        self._counts = tuple(F1Counts() for _ in F1_THRESHOLDS)

    def update(self, predicted: LabelArray, truth: LabelArray) -> None:
        """Add one video.

        Args:
            predicted: Predicted class index of every frame, (T,).
            truth: True class index of every frame, (T,).

        Raises:
            InputError: The lengths differ, or one is not a one-dimensional array of integers;
                nothing is added.
        """
        correct, frames = accuracy_counts(predicted, truth)
        ours, theirs = (
            scored_segments(labels, background=self.background, convention=self.convention)
            for labels in (predicted, truth)
        )
        self._add(correct, frames, [edit_score(ours, theirs)], f1_counts(ours, theirs))

    def merge(self, other: SegmentationMetrics) -> None:
        """Add the videos of another accumulator, as if they had been updated here.

        Raises:
            ValueError: The other one has another background or convention.
        """
        if (self.background, self.convention) != (other.background, other.convention):
            raise ValueError("metrics of different backgrounds or conventions cannot be merged")
        self._add(other._correct, other._frames, other._edits, other._counts)

    def compute(self) -> dict[str, float]:
        """Return `videos`, `frames` and the percentages; without videos all are 0, never NaN."""
        videos = len(self._edits)
        scores = {
            f"f1@{threshold}": counts.score()
            for threshold, counts in zip(F1_THRESHOLDS, self._counts, strict=True)
        }
        return {
            "videos": videos,
            "frames": self._frames,
            "accuracy": percentage(self._correct, self._frames),
            "edit": math.fsum(self._edits) / videos if videos else 0.0,
            **scores,
        }

    def _add(self, correct: int, frames: int, edits: list[float], counts: tuple[F1Counts, ...]) -> None:
        self._correct += correct
        self._frames += frames
        self._edits += edits
        self._counts = tuple(mine + new for mine, new in zip(self._counts, counts, strict=True))
