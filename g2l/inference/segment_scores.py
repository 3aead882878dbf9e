"""How sure a model is of each segment, summed as a video comes in: nothing here needs all of it at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels
from g2l.metrics.segments import Segments, segments

_BLOCK = 8192
"""Frames scored at a time, so that temporary arrays stay in the processor's cache."""
_TINY = np.finfo(np.float32).tiny
_UNIT = 2.0**32
"""Sums are of whole 2⁻³² parts: they know no order, so any chunks give what the whole array gives."""


@dataclass(frozen=True, eq=False)
class ScoredSegments:
    """N segments of a video and how sure the model is of them.

    Attributes:
        segments: The maximal runs of equal labels, background included.
        confidence: Mean probability of the label over the frames of each segment, (N,), in [0, 1].
        entropy: Mean entropy of the class distribution over the frames of each, (N,), in nats: 0 where the
            model is certain, ln C where it guesses; e^entropy is the number of classes it wavers between.
    """

    segments: Segments
    confidence: npt.NDArray[np.float64]
    entropy: npt.NDArray[np.float64]


class SegmentScorer:
    """Finds and scores the segments of one video, given chunk by chunk in order of time."""

    def __init__(self) -> None:
        # Of each run in each chunk: label, frames, sums of confidence and entropy.
        self._runs: list[tuple[npt.NDArray[np.int64], ...]] = []

    def add(self, labels: Labels, probabilities: npt.NDArray[np.floating]) -> None:
        """Add the next chunk.

        Args:
            labels: Class of every frame, (t,): the most probable one, or what smoothing made of it.
            probabilities: Class probabilities, (C, t).

        Raises:
            ValueError: The two differ in length.
        """
        if probabilities.shape[1:] != labels.shape:
            raise ValueError(f"{labels.shape} labels do not fit probabilities {probabilities.shape}")
        for start in range(0, len(labels), _BLOCK):
            self._add(labels[start : start + _BLOCK], probabilities[:, start : start + _BLOCK])

    def finish(self) -> ScoredSegments:
        """Return the segments of all chunks; a segment may reach over many."""
        empty = (np.zeros(0, np.int64),) * 4
        labels, lengths, *sums = map(np.concatenate, zip(*(self._runs or [empty]), strict=True))
        first = segments(labels).starts  # of the runs that a segment is made of
        frames = _sums(lengths, first)
        ends = np.cumsum(frames)
        confidence, entropy = (_sums(each, first) / frames / _UNIT for each in sums)
        return ScoredSegments(Segments(labels[first], ends - frames, ends), confidence, entropy)

    def _add(self, labels: Labels, probabilities: npt.NDArray[np.floating]) -> None:
        runs = segments(labels)
        chosen = probabilities[labels, np.arange(len(labels))]
        sums = (_sums(_whole(values), runs.starts) for values in (chosen, frame_entropy(probabilities)))
        self._runs.append((runs.labels.astype(np.int64), runs.ends - runs.starts, *sums))


def score_segments(labels: Labels, probabilities: npt.NDArray[np.floating]) -> ScoredSegments:
    """Return the scored segments of a whole video.

    Args:
        labels: Class of every frame, (T,).
        probabilities: Class probabilities, (C, T); a memory map is read in blocks.
    """
    scorer = SegmentScorer()
    scorer.add(labels, probabilities)
    return scorer.finish()


def frame_entropy(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return the entropy −Σ p·ln p of every frame in nats, (t,), of class probabilities (C, t)."""
    total = np.zeros(probabilities.shape[1], np.float32)
    for row in probabilities.astype(np.float32, copy=False):
        logarithm = np.maximum(row, _TINY)  # ln 0 would make 0 · ln 0 NaN
        np.log(logarithm, out=logarithm)
        total -= logarithm * row
    return np.maximum(total, 0, out=total)  # probabilities that add up to a bit more than 1


def _whole(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    return np.rint(values.astype(np.float64) * _UNIT).astype(np.int64)


def _sums(values: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the sum from each start to the next."""
    return np.add.reduceat(values, starts) if len(starts) else np.zeros(0, np.int64)
