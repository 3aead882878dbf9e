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


def per_class_report(predicted: LabelArray, truth: LabelArray, class_names: Sequence[str]) -> dict[str, Any]:
    """Return precision, recall, F1 score and support of every class, frame by frame, in percent.

    Args:
        predicted: Predicted class index of every frame of all videos, (N,).
        truth: True class index of every frame of all videos, (N,).
        class_names: Class names in index order, length C.

    Returns:
        `{"classes": {name: row}, "macro avg": row, "weighted avg": row, "accuracy": percent}`, a row
        being `{"precision", "recall", "f1-score", "support"}` with the support in frames. A class
        with neither true nor predicted frames has zeros and is left out of the averages.

    Raises:
        InputError: The lengths differ, or an index is not one of the C classes.
    """
    predicted, truth = _checked(predicted, truth, class_names)
    present = np.union1d(predicted, truth).tolist()
    rows = _sklearn_rows(predicted, truth, present)
    return {
        "classes": {name: _row(rows.get(str(index))) for index, name in enumerate(class_names)},
        **{average: _row(rows.get(average)) for average in _AVERAGES},
        "accuracy": percentage(int(np.count_nonzero(predicted == truth)), len(truth)),
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
    from sklearn.metrics import confusion_matrix

    predicted, truth = _checked(predicted, truth, class_names)
    if not len(truth):  # scikit-learn refuses empty data
        return np.zeros((len(class_names), len(class_names)), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about nearly as many classes as frames
        matrix = confusion_matrix(truth, predicted, labels=np.arange(len(class_names)))
    return np.asarray(matrix, np.int64)


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


def _sklearn_rows(predicted: LabelArray, truth: LabelArray, present: list[int]) -> dict[str, Any]:
    """Return scikit-learn's rows by class index as text, so that no class name can hide an average."""
    from sklearn.metrics import classification_report

    if not present:  # scikit-learn refuses empty data
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about nearly as many classes as frames
        report: dict[str, Any] = classification_report(
            truth,
            predicted,
            labels=present,
            target_names=[str(index) for index in present],
            output_dict=True,
            zero_division=0,
        )
    return report


def _row(row: dict[str, float] | None) -> dict[str, float]:
    if row is None:
        return dict.fromkeys(_SCORES, 0.0) | {"support": 0}
    return {score: 100.0 * row[score] for score in _SCORES} | {"support": int(row["support"])}
