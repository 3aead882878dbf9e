"""Label arrays, one class index per frame, and their segments: the maximal runs of equal labels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from g2l.errors import InputError

LabelArray: TypeAlias = npt.NDArray[np.integer[Any]]
"""Class indices of any integer type, one per frame (T,) or per segment (N,)."""


def checked_labels(labels: LabelArray, name: str) -> LabelArray:
    """Return labels, (T,), as an array; InputError, with their `name`, if they are not (T,) integers."""
    array = np.asarray(labels)
    if array.ndim != 1:
        raise InputError(f"`{name}` must have shape (T,), but has shape {array.shape} instead.")
    if array.dtype.kind not in "iu":
        raise InputError(f"`{name}` must hold integer class indices, but holds {array.dtype} instead.")
    return array


def checked_pair(predicted: LabelArray, truth: LabelArray) -> tuple[LabelArray, LabelArray]:
    """Return both label sequences of one video, (T,), as arrays; InputError if their lengths differ."""
    predicted, truth = checked_labels(predicted, "predicted"), checked_labels(truth, "truth")
    if len(predicted) != len(truth):
        raise InputError(
            f"`predicted` must have as many frames as `truth` ({len(truth)}), "
            f"but has {len(predicted)} instead.",
            hint="predictions and ground truth must be of the same video at the same frame rate.",
        )
    return predicted, truth


class Convention(StrEnum):
    """Where the last segment of a video ends when F1 is scored (METHOD, section 5)."""

    MSTCN = "mstcn"
    """Half-open like every other segment: the current evaluator of MS-TCN, and our default."""
    G2L = "g2l"
    """One frame early: the evaluators of G2L, MS-TCN++ and ASFormer, to compare with their numbers."""


@dataclass(frozen=True, eq=False)
class Segments:
    """N segments in temporal order, half-open [start, end) in frames; each array is (N,)."""

    labels: LabelArray
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, chosen: npt.NDArray[Any]) -> Segments:
        """Return the segments that a mask or an index array (M,) chooses."""
        return Segments(self.labels[chosen], self.starts[chosen], self.ends[chosen])


def segments(labels: LabelArray) -> Segments:
    """Return the runs of equal labels, (T,), background included; an empty video has none."""
    labels = checked_labels(labels, "labels")
    changes = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts = np.concatenate([np.zeros(min(len(labels), 1), np.int64), changes])
    ends = np.append(starts[1:], len(labels))[: len(starts)]
    return Segments(labels[starts], starts, ends)


def scored_segments(
    labels: LabelArray, *, background: Collection[int] = (), convention: Convention = Convention.MSTCN
) -> Segments:
    """Return the segments that Edit and F1 compare; under `G2L` a last segment of one frame becomes empty."""
    found = segments(labels)
    if convention is Convention.G2L and len(found):
        found.ends[-1] -= 1
    return found.select(~np.isin(found.labels, list(background))) if background else found


def percentage(part: int, whole: int) -> float:
    """Return `part` of `whole` in percent; 0 of 0 is 0, never NaN."""
    return 100.0 * part / whole if whole else 0.0
