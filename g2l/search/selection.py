"""Roulette: parents are drawn with probability proportional to fitness (G2L, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def roulette(fitness: Sequence[float], count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Draw `count` indices with replacement, index i with probability f_i / Σ f.

    Deviation (METHOD, section 3, fix 2): the released code draws the neighbour of the one that was hit,
    so that the leader's share goes to the last.

    Args:
        fitness: One value per parent; −inf for a failed candidate.
        count: Number of draws.
        generator: Source of randomness.

    Returns:
        Indices into `fitness`, shape (count,).
    """
    return generator.choice(len(fitness), size=count, p=_shares(np.asarray(fitness, dtype=np.float64)))


def _shares(fitness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities; values below 0 get none, and if none is above 0 all that ran are alike."""
    weights = np.where(fitness > 0, fitness, 0.0)
    if not weights.any():
        weights = np.isfinite(fitness).astype(np.float64)
    if not weights.any():
        weights = np.ones_like(fitness)
    weights = weights / weights.max()  # keeps the sum finite and the shares exact for tiny values
    return np.asarray(weights / weights.sum(), dtype=np.float64)
