"""Frame-wise scores of each class and the confusion matrix, by scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.errors import InputError
from g2l.metrics.frames import LabelArray, checked_pair, percentage

_AVERAGES = ("macro avg", "weighted avg")
_SCORES = ("precision", "recall", "f1-score")


def per_class_report(frames: npt.NDArray[np.int64], class_names: Sequence[str]) -> dict[str, Any]:
    """Return precision, recall, F1 score and support of every class, frame by frame, in percent.

    Args:
        frames: Their confusion matrix (C, C), see `confusion`.
        class_names: Class names in index order, length C.

    Returns:
        `{"classes": {name: row}, "macro avg": row, "weighted avg": row, "accuracy": percent}`, a row
        being `{"precision", "recall", "f1-score", "support"}` with the support in frames. A class
        with neither true nor predicted frames has zeros and is left out of the averages.
    """
    rows = _sklearn_rows(frames)
    return {
        "classes": {name: _row(rows.get(str(index))) for index, name in enumerate(class_names)},
        **{average: _row(rows.get(average)) for average in _AVERAGES},
        "accuracy": percentage(int(np.trace(frames)), int(frames.sum())),
    }


def confusion(predicted: LabelArray, truth: LabelArray, class_names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the confusion matrix (C, C) in frames: true class by row, predicted class by column.

    Args:
        predicted: Predicted class index of every frame of all videos, (N,).
        truth: True class index of every frame of all videos, (N,).
        class_names: Class names in index order, length C.

    Raises:
        InputError: The lengths differ, or an index is not one of the C classes.
    """
    predicted, truth = _checked(predicted, truth, class_names)
    size = len(class_names)
    # A pair of classes as one number; in int64, since labels may come in a type that their product leaves.
    pairs = truth.astype(np.int64) * size + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=size * size).reshape(size, size).astype(np.int64)


def _checked(
    predicted: LabelArray, truth: LabelArray, class_names: Sequence[str]
) -> tuple[LabelArray, LabelArray]:
    predicted, truth = checked_pair(predicted, truth)
    for name, labels in (("predicted", predicted), ("truth", truth)):
        outside = (labels < 0) | (labels >= len(class_names))
        if outside.any():
            raise InputError(
                f"`{name}` must hold class indices in [0, {len(class_names)}), "
                f"but holds {labels[outside][0]} instead."
            )
    return predicted, truth


def _sklearn_rows(frames: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return scikit-learn's rows by class index as text, so that no class name can hide an average.

    It gets each pair of classes once, weighted by its frames: C² samples instead of millions.

    Args:
        frames: The confusion matrix (C, C).
    """
    from sklearn.metrics import classification_report

    present = np.flatnonzero(frames.any(axis=0) | frames.any(axis=1)).tolist()
    if not present:  # scikit-learn refuses empty data
        return {}
    truth, predicted = np.nonzero(frames)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about nearly as many classes as samples
        report: dict[str, Any] = classification_report(
            truth,
            predicted,
            labels=present,
            target_names=[str(index) for index in present],
            sample_weight=frames[truth, predicted],
            output_dict=True,
            zero_division=0,
        )
    return report


def _row(row: dict[str, float] | None) -> dict[str, float]:
    if row is None:
        return dict.fromkeys(_SCORES, 0.0) | {"support": 0}
    return {score: 100.0 * row[score] for score in _SCORES} | {"support": int(row["support"])}
