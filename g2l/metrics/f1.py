"""Segmental F1@k: segments found with an overlap of at least k percent (METHOD, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from g2l.metrics.frames import percentage
from g2l.metrics.segments import Segments

F1_THRESHOLDS = (10, 25, 50)
"""The k of F1@k, in percent of intersection over union (MS-TCN, section 4)."""


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


def f1_counts(predicted: Segments, truth: Segments) -> tuple[F1Counts, ...]:
    """Return the counts of one video at each of `F1_THRESHOLDS`.

    Predicted segments, in order, take the true segment of their class with the highest intersection
    over union (IoU), the first one on ties. It is a hit if the IoU reaches k and that true segment
    was not hit before. So a true segment is hit once if any predicted one reaches it, and hits can be
    counted without walking through the segments.

    Args:
        predicted: Predicted segments, background dropped.
        truth: True segments, background dropped.
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
    ours, theirs = _overlapping_pairs(predicted, truth)
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


def _overlapping_pairs(
    predicted: Segments, truth: Segments
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the index pairs of segments that share frames: at most N + M − 1, as both sides are disjoint.

    An empty segment (convention G2L) may come with one that surrounds it, never with an empty one.
    """
    first = np.searchsorted(truth.ends, predicted.starts, side="right")
    beyond = np.searchsorted(truth.starts, predicted.ends, side="left")
    counts = np.maximum(beyond - first, 0)
    ours = np.repeat(np.arange(len(predicted)), counts)
    before = np.cumsum(counts) - counts
    theirs = np.arange(len(ours)) + np.repeat(first - before, counts)
    return ours, theirs
