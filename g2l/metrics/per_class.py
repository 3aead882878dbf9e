"""Frame-wise scores of each class, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.errors import InputError
from g2l.metrics.segments import LabelArray, checked_pair, percentage


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
