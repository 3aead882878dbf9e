"""Segments: the maximal runs of equal labels in a video."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.metrics.frames import LabelArray, checked_labels


class Convention(StrEnum):
    """Where the last segment of a video ends when F1 is scored (METHOD, section 5)."""

    MSTCN = "mstcn"
    """Half-open like every other segment: the current evaluator of MS-TCN, and our default."""
    G2L = "g2l"
    """One frame early: the evaluators of G2L, MS-TCN++ and ASFormer, to compare with their numbers."""


@dataclass(frozen=True, eq=False)
class Segments:
    """N segments in temporal order, half-open [start, end) in frames.

    Attributes:
        labels: Class index of each segment, (N,).
        starts: First frame, (N,).
        ends: Frame after the last one, (N,).
    """

    labels: LabelArray
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, chosen: npt.NDArray[Any]) -> Segments:
        """Return the segments that a mask or an index array (M,) chooses."""
        return Segments(self.labels[chosen], self.starts[chosen], self.ends[chosen])


def segments(labels: LabelArray) -> Segments:
    """Return the runs of equal labels, background included.

    Args:
        labels: Class index of every frame, (T,); an empty video has no segments.

    Raises:
        InputError: `labels` is not a one-dimensional array of integers.
    """
    labels = checked_labels(labels, "labels")
    changes = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts = np.concatenate([np.zeros(min(len(labels), 1), np.int64), changes])
    ends = np.append(starts[1:], len(labels))[: len(starts)]
    return Segments(labels[starts], starts, ends)


def scored_segments(
    labels: LabelArray,
    *,
    background: Collection[int] = (),
    convention: Convention = Convention.MSTCN,
) -> Segments:
    """Return the segments that Edit and F1 compare.

    Args:
        labels: Class index of every frame, (T,).
        background: Class indices whose segments are dropped.
        convention: Where the last segment ends; under `G2L` one of a single frame becomes empty.

    Raises:
        InputError: `labels` is not a one-dimensional array of integers.
    """
    found = segments(labels)
    if convention is Convention.G2L and len(found):
        found.ends[-1] -= 1
    if background:
        kept = np.ones(len(found), np.bool_)
        for index in background:
            kept &= found.labels != index
        found = found.select(kept)
    return found
