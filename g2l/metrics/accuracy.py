"""Frame accuracy, also called mean over frames (METHOD, section 5)."""

from __future__ import annotations

import numpy as np

from g2l.metrics.frames import LabelArray, checked_pair


def accuracy_counts(predicted: LabelArray, truth: LabelArray) -> tuple[int, int]:
    """Return the number of correct frames and of all frames of one video; background counts too.

    Args:
        predicted: Predicted class index of every frame, (T,).
        truth: True class index of every frame, (T,).

    Raises:
        InputError: The lengths differ.
    """
    predicted, truth = checked_pair(predicted, truth)
    return int(np.count_nonzero(predicted == truth)), len(truth)
