"""Median: each frame takes the label that most frames around it have."""

from __future__ import annotations

import numpy as np

from g2l.datasets.labels import Labels


def filter_median(labels: Labels, window: int) -> Labels:
    """Return the most frequent label of the window around each frame.

    Class indices have no order, so the median is that of the one-hot labels: the class that holds more than
    half of the window, or, where none does, the most frequent one. The frame's own label wins a tie, else the
    lower index. At both ends of the video the window is cut.

    Args:
        labels: Class of every frame, (T,).
        window: Frames, centred; an even number counts as the odd one above.
    """
    half = window // 2
    frames = np.arange(len(labels))
    first, last = np.maximum(frames - half, 0), np.minimum(frames + half + 1, len(labels))
    smooth = labels.copy()
    most = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        here = labels == label
        until = np.concatenate([[0], np.cumsum(here)])
        # Twice the count leaves room for the half that a frame's own label is preferred by.
        votes = 2 * (until[last] - until[first]) + here
        smooth[votes > most] = label
        np.maximum(most, votes, out=most)
    return smooth
