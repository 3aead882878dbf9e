"""Standardisation of feature rows; the same function prepares features for training and for inference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from g2l.config import Normalization
from g2l.datasets.features import Features
from g2l.errors import InputError

SMALLEST_STD = 1e-8
"""Rows that vary less become 0 rather than amplified rounding errors."""

BLOCK_FRAMES = 1024
"""Frames whose moments are taken together: a video may be cut into multiples and gives the same numbers."""

Vector = npt.NDArray[np.float64] | Sequence[float]


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each feature row over many frames; both of shape (D,)."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]


class RunningStatistics:
    """Row means and standard deviations of frames that are seen a part at a time."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._squares = np.zeros(())

    def add(self, features: Features) -> None:
        """Take in more frames, (D, T)."""
        for first in range(0, features.shape[1], BLOCK_FRAMES):
            block = features[:, first : first + BLOCK_FRAMES].astype(np.float64)
            mean = block.mean(axis=1)
            block -= mean[:, None]
            squares = np.square(block, out=block).sum(axis=1)
            # Merge the moments of two sets of frames; summing raw squares would cancel catastrophically.
            count, delta = block.shape[1], mean - self._mean
            total = self._count + count
            self._mean = self._mean + delta * count / total
            self._squares = self._squares + squares + delta**2 * self._count * count / total
            self._count = total

    def compute(self) -> Statistics:
        """Return the statistics of all frames so far; of at least one."""
        return Statistics(self._mean, np.sqrt(self._squares / self._count))


def normalize(
    features: Features,
    kind: Normalization,
    mean: Vector | None = None,
    std: Vector | None = None,
    *,
    out: Features | None = None,
) -> Features:
    """Return standardised features (D, T); rows with a deviation below `SMALLEST_STD` become 0.

    `video` takes mean and deviation from these features, `train` those given, each of length D; `none`
    returns the argument. `out`, for the result, may be `features`. InputError if values do not fit.
    """
    if kind is Normalization.NONE:
        return features
    if kind is Normalization.VIDEO:
        statistics = pooled_statistics([features])
        mean, std = statistics.mean, statistics.std
    if mean is None or std is None:
        raise InputError("`normalize` train needs the mean and std of the training frames, but has none.")
    center, spread = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    if center.shape != (len(features),) or spread.shape != (len(features),):
        raise InputError(
            f"`mean` and `std` must hold {len(features)} values, one per feature, "
            f"but hold {center.size} and {spread.size} instead."
        )
    with np.errstate(over="ignore", invalid="ignore"):  # damaged statistics: the network then gives NaN
        centered = np.subtract(features, center.astype(np.float32)[:, None], out=out)
        centered *= reciprocal(spread)[:, None]
    return centered


def reciprocal(std: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return what rows are multiplied by, (D,): 1 / std, but 0 below `SMALLEST_STD`."""
    return np.where(std >= SMALLEST_STD, 1 / np.maximum(std, SMALLEST_STD), 0).astype(np.float32)


def pooled_statistics(matrices: Iterable[Features]) -> Statistics:
    """Return the statistics of the frames of at least one matrix (D, T), with one in memory at a time."""
    running = RunningStatistics()
    for features in matrices:
        running.add(features)
    return running.compute()
