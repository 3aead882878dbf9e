"""Accuracy, Edit and F1@k of one video and of many (METHOD, section 5), of frames by class, and by name."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from g2l.errors import InputError
from g2l.metrics.segments import (
    Convention,
    LabelArray,
    Segments,
    checked_pair,
    percentage,
    scored_segments,
)

F1_THRESHOLDS = (10, 25, 50)
"""The k of F1@k, in percent of intersection over union (MS-TCN, section 4)."""
_F1_NAMES = tuple(f"f1@{threshold}" for threshold in F1_THRESHOLDS)
MEAN_F1 = "f1"
"""Name of the mean of F1@{10,25,50} (METHOD, section 3: our default fitness)."""


@dataclass(frozen=True)
class F1Counts:
    """Hits and misses at one threshold; summed over videos before the score is taken."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: F1Counts) -> F1Counts:
        return F1Counts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    def score(self) -> float:
        """Return F1 in percent; 0 where there are no segments at all."""
        hits = 2 * self.true_positives
        return percentage(hits, hits + self.false_positives + self.false_negatives)


@dataclass(frozen=True)
class VideoScores:
    """Contribution of one video to the metrics of many."""

    correct: int
    """Frames, of the `frames` in all."""
    frames: int
    edit: float | None
    """In percent, or None where neither side has a segment that is not background."""
    f1: tuple[F1Counts, ...]
    """At each of `F1_THRESHOLDS`."""

    def metrics(self) -> dict[str, float | None]:
        """Return the percentages of this video alone; Edit and F1 are None where they are not defined."""
        scores = [None if self.edit is None else counts.score() for counts in self.f1]
        accuracy = percentage(self.correct, self.frames)
        return {"frames": self.frames, "accuracy": accuracy, "edit": self.edit} | dict(
            zip(_F1_NAMES, scores, strict=True)
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        counts = [[one.true_positives, one.false_positives, one.false_negatives] for one in self.f1]
        return {"correct": self.correct, "frames": self.frames, "edit": self.edit, "f1": counts}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Return the scores that `as_dict` wrote; KeyError, TypeError or ValueError if a field is wrong."""
        edit = value["edit"]
        counts = tuple(F1Counts(*map(int, one)) for one in value["f1"])
        if len(counts) != len(F1_THRESHOLDS):
            raise ValueError(f"expected counts at {len(F1_THRESHOLDS)} thresholds, found {len(counts)}")
        return cls(int(value["correct"]), int(value["frames"]), None if edit is None else float(edit), counts)


def video_scores(
    predicted: LabelArray,
    truth: LabelArray,
    *,
    background: Collection[int] = (),
    convention: Convention = Convention.MSTCN,
) -> VideoScores:
    """Score the labels, (T,), of one video; segments of `background` count neither for Edit nor for F1.

    InputError if the lengths differ, or one is not a one-dimensional array of integers.
    """
    predicted, truth = checked_pair(predicted, truth)
    correct = int(np.count_nonzero(predicted == truth))  # of background too
    ours, theirs = (
        scored_segments(labels, background=background, convention=convention) for labels in (predicted, truth)
    )
    edit = edit_score(ours, theirs) if len(ours) or len(theirs) else None
    return VideoScores(correct, len(truth), edit, f1_counts(ours, theirs))


def edit_score(predicted: Segments, truth: Segments) -> float:
    """Return 100 · (1 − distance / number of segments of the longer side) for one video.

    Two empty sides score 100, one empty side scores 0.
    """
    longest = max(len(predicted), len(truth))
    if longest == 0:
        return 100.0
    return percentage(longest - levenshtein(predicted.labels, truth.labels), longest)


def levenshtein(first: LabelArray, second: LabelArray) -> int:
    """Return the least number of insertions, deletions and substitutions between sequences (N,) and (M,).

    Bit-parallel dynamic programming (Myers, J. ACM 1999, in the form of Hyyrö, 2003). A column of the
    distance table runs along the longer sequence and is kept as the differences of neighbouring cells, which
    are −1, 0 or +1: one Python integer has a bit for each +1 and another for each −1, so that a whole column
    takes a dozen integer operations. `benchmarks/metrics.py` compares it with a numpy row per column.
    """
    short, long = sorted((first.tolist(), second.tolist()), key=len)
    everywhere = (1 << len(long)) - 1
    matches: dict[int, int] = {}
    for position, label in enumerate(long):
        matches[label] = matches.get(label, 0) | 1 << position
    rises, falls = everywhere, 0
    for label in short:
        match = matches.get(label, 0)
        # Cells equal to their upper left neighbour; the carry of the sum follows runs of rises.
        unchanged = (((match & rises) + rises) ^ rises) | match | falls
        # From the column before to this one, moved down a cell; the top row always rises by one.
        right_rises = (falls | (everywhere & ~(unchanged | rises))) << 1 | 1
        right_falls = (rises & unchanged) << 1
        rises = (right_falls | ~(unchanged | right_rises)) & everywhere
        falls = right_rises & unchanged & everywhere
    return len(short) + rises.bit_count() - falls.bit_count()


def f1_counts(predicted: Segments, truth: Segments) -> tuple[F1Counts, ...]:
    """Return the counts of one video at each of `F1_THRESHOLDS`.

    Predicted segments, in order, take the true segment of their class with the highest intersection over
    union (IoU), the first one on ties. It is a hit if the IoU reaches k and that true segment was not hit
    before. So a true segment is hit once if any predicted one reaches it, and hits can be counted without a
    loop over the segments.
    """
    taken, overlap = _best_matches(predicted, truth)
    reached = np.zeros(len(truth))
    np.maximum.at(reached, taken, overlap)
    # IoU and threshold are both correctly rounded quotients, so equal fractions compare equal.
    hits = [int(np.count_nonzero(reached >= threshold / 100)) for threshold in F1_THRESHOLDS]
    return tuple(F1Counts(count, len(predicted) - count, len(truth) - count) for count in hits)


def _best_matches(
    predicted: Segments, truth: Segments
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the true segment that each predicted one takes, if any, and their IoU."""
    # Pairs that share frames: at most N + M − 1, as both sides are disjoint. An empty segment (convention
    # G2L) may come with one that surrounds it, never with an empty one.
    first = np.searchsorted(truth.ends, predicted.starts, side="right")
    counts = np.maximum(np.searchsorted(truth.starts, predicted.ends, side="left") - first, 0)
    ours = np.repeat(np.arange(len(predicted)), counts)
    theirs = np.arange(len(ours)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    same = predicted.labels[ours] == truth.labels[theirs]
    ours, theirs = ours[same], theirs[same]
    left, right = predicted.select(ours), truth.select(theirs)
    shared = np.minimum(left.ends, right.ends) - np.maximum(left.starts, right.starts)
    together = (left.ends - left.starts) + (right.ends - right.starts) - shared
    overlap = shared / together
    order = np.lexsort((-overlap, ours))  # stable: on ties the earlier true segment stays ahead
    ours = ours[order]
    best = order[np.concatenate([np.ones(min(len(ours), 1), np.bool_), ours[1:] != ours[:-1]])]
    return theirs[best], overlap[best]


class SegmentationMetrics:
    """Accuracy, Edit and F1@{10,25,50} in percent over the videos seen so far (METHOD, section 5).

    Frames and segment counts are pooled over videos; Edit is averaged over them. The order of updates does
    not matter. `videos` holds the scores of each video, in that order.
    """

    def __init__(
        self, *, background: Collection[int] = (), convention: Convention = Convention.MSTCN
    ) -> None:
        self._score = partial(
            video_scores, background=frozenset(map(int, background)), convention=Convention(convention)
        )
        self.videos: list[VideoScores] = []

    def update(self, predicted: LabelArray, truth: LabelArray) -> VideoScores:
        """Add the labels, (T,), of one video as `video_scores` and return its scores."""
        self.videos.append(self._score(predicted, truth))
        return self.videos[-1]

    def compute(self) -> dict[str, float]:
        """Return `videos`, `frames` and the percentages; without videos all are 0, never NaN.

        A video without any segment on either side counts as an Edit of 100 in the mean.
        """
        frames = sum(video.frames for video in self.videos)
        # An exactly rounded sum does not depend on the order of the videos.
        edits = [100.0 if video.edit is None else video.edit for video in self.videos]
        counts = [
            sum((video.f1[number] for video in self.videos), F1Counts()) for number in range(len(_F1_NAMES))
        ]
        return {
            "videos": len(self.videos),
            "frames": frames,
            "accuracy": percentage(sum(video.correct for video in self.videos), frames),
            "edit": math.fsum(edits) / len(edits) if edits else 0.0,
            **{name: count.score() for name, count in zip(_F1_NAMES, counts, strict=True)},
        }


def confusion(predicted: LabelArray, truth: LabelArray, class_names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the confusion matrix (C, C) of the frames, (N,), of all videos: true class by row.

    InputError if the lengths differ, or a label is not the index of a class.
    """
    predicted, truth = checked_pair(predicted, truth)
    size = len(class_names)
    for name, labels in (("predicted", predicted), ("truth", truth)):
        outside = (labels < 0) | (labels >= size)
        if outside.any():
            raise InputError(
                f"`{name}` must hold class indices in [0, {size}), but holds {labels[outside][0]} instead."
            )
    # A pair of classes as one number; in int64, since their product may overflow the type of the labels.
    pairs = truth.astype(np.int64) * size + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=size * size).reshape(size, size).astype(np.int64)


def per_class_report(frames: npt.NDArray[np.int64], class_names: Sequence[str]) -> dict[str, Any]:
    """Return the scores of every class over frames in percent, as scikit-learn's `classification_report`.

    From the matrix of `confusion`: `{"classes": {name: {"precision", "recall", "f1-score", "support"}}}` with
    the support in frames. The scores of a class with neither true nor predicted frames are None.
    """
    columns = [one.tolist() for one in (np.diag(frames), frames.sum(axis=0), frames.sum(axis=1))]
    rows = {}
    for name, hit, ours, theirs in zip(class_names, *columns, strict=True):
        scores = (percentage(hit, ours), percentage(hit, theirs), percentage(2 * hit, ours + theirs))
        found = scores if ours or theirs else (None, None, None)
        rows[name] = dict(zip(("precision", "recall", "f1-score"), found, strict=True)) | {"support": theirs}
    return {"classes": rows}


def metric_value(metrics: Mapping[str, float], name: str) -> float:
    """Return one of the metrics, or for `f1` the mean of F1@{10,25,50}; InputError if there is none."""
    if name == MEAN_F1:
        return sum(metric_value(metrics, one) for one in _F1_NAMES) / len(_F1_NAMES)
    if name not in metrics:
        known = ", ".join([MEAN_F1, *metrics])
        raise InputError(f"`metric` must be one of {known}, but is {name!r} instead.")
    return float(metrics[name])
