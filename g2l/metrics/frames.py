"""Label arrays as every metric takes them: one class index per frame."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from g2l.errors import InputError

LabelArray: TypeAlias = npt.NDArray[np.integer[Any]]
"""Class indices of any integer type, one per frame (T,) or per segment (N,)."""


def checked_labels(labels: LabelArray, name: str) -> LabelArray:
    """Return `labels` as an array.

    Args:
        labels: Class index of every frame, (T,).
        name: What the error calls them.

    Raises:
        InputError: They are not one-dimensional or not integers.
    """
    array = np.asarray(labels)
    if array.ndim != 1:
        raise InputError(f"`{name}` must have shape (T,), but has shape {array.shape} instead.")
    if array.dtype.kind not in "iu":
        raise InputError(f"`{name}` must hold integer class indices, but holds {array.dtype} instead.")
    return array


def checked_pair(predicted: LabelArray, truth: LabelArray) -> tuple[LabelArray, LabelArray]:
    """Return both label sequences of one video as arrays.

    Args:
        predicted: Predicted class index of every frame, (T,).
        truth: True class index of every frame, (T,).

    Raises:
        InputError: One of them is not a label array, or their lengths differ.
    """
    predicted, truth = checked_labels(predicted, "predicted"), checked_labels(truth, "truth")
    if len(predicted) != len(truth):
        raise InputError(
            f"`predicted` must have as many frames as `truth` ({len(truth)}), "
            f"but has {len(predicted)} instead.",
            hint="predictions and ground truth must be of the same video at the same frame rate.",
        )
    return predicted, truth


def percentage(part: int, whole: int) -> float:
    """Return `part` of `whole` in percent; nothing of nothing is 0, never NaN."""
    return 100.0 * part / whole if whole else 0.0
