"""How often one class follows another: what smoothing by Viterbi learns from the training labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels

Transitions = tuple[tuple[int, int, int], ...]
"""(class index, index of the class one frame later, how often) of each pair that occurs, ascending."""


def count_transitions(videos: Iterable[Labels], num_classes: int) -> Transitions:
    """Count the pairs of consecutive frames, within videos.

    Args:
        videos: Class index of every frame at the rate that the network sees, each (T',).
        num_classes: C.
    """
    counts = np.zeros(num_classes**2, np.int64)
    for labels in videos:
        counts += np.bincount(labels[:-1] * num_classes + labels[1:], minlength=num_classes**2)
    pairs = np.flatnonzero(counts)
    before, after = np.divmod(pairs, num_classes)
    return tuple(zip(before.tolist(), after.tolist(), counts[pairs].tolist(), strict=True))


def log_probabilities(
    transitions: Sequence[tuple[int, int, int]], num_classes: int
) -> npt.NDArray[np.float64]:
    """Return ln P(next class | class), (C, C), class by row.

    One is added to every count (Laplace), so that a pair that training never showed stays possible.

    Args:
        transitions: What `count_transitions` returned.
        num_classes: C.
    """
    counts = np.ones((num_classes, num_classes))
    for before, after, count in transitions:
        counts[before, after] += count
    return np.asarray(np.log(counts / counts.sum(axis=1, keepdims=True)))
