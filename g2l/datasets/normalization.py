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

Vector = npt.NDArray[np.float64] | Sequence[float]


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each feature row over many frames; both of shape (D,)."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]


def normalize(
    features: Features, kind: Normalization, mean: Vector | None = None, std: Vector | None = None
) -> Features:
    """Return standardised features.

    Args:
        features: Subsampled features, (D, T).
        kind: `video` takes mean and deviation from these features, `train` those given.
        mean: Row means over the training frames, length D; of `train` only.
        std: Row standard deviations, length D; of `train` only.

    Returns:
        (D, T) float32; rows with a deviation below `SMALLEST_STD` are 0. `none` returns the argument itself.

    Raises:
        InputError: `train` lacks a mean or deviation, or their length is not D.
    """
    if kind is Normalization.NONE:
        return features
    if kind is Normalization.VIDEO:
        mean, std = features.mean(axis=1, dtype=np.float64), features.std(axis=1, dtype=np.float64)
    if mean is None or std is None:
        raise InputError("`normalize` train needs the mean and std of the training frames, but has none.")
    center, spread = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    if center.shape != (len(features),) or spread.shape != (len(features),):
        raise InputError(
            f"`mean` and `std` must hold {len(features)} values, one per feature, "
            f"but hold {center.size} and {spread.size} instead."
        )
    varies = spread >= SMALLEST_STD
    scale = np.where(varies, 1 / np.where(varies, spread, 1), 0)
    centered = features - center.astype(np.float32)[:, None]
    centered *= scale.astype(np.float32)[:, None]
    return centered


def pooled_statistics(matrices: Iterable[Features]) -> Statistics:
    """Return row means and standard deviations over the frames of all matrices, one in memory at a time.

    Args:
        matrices: At least one; each (D, T).
    """
    count = 0
    mean = squares = np.zeros(())
    for features in matrices:
        # Merge the moments of two sets of frames; summing raw squares would cancel catastrophically.
        added = features.shape[1]
        added_mean = features.mean(axis=1, dtype=np.float64)
        added_squares = features.var(axis=1, dtype=np.float64) * added
        delta = added_mean - mean
        total = count + added
        mean = mean + delta * added / total
        squares = squares + added_squares + delta**2 * count * added / total
        count = total
    return Statistics(mean, np.sqrt(squares / count))
