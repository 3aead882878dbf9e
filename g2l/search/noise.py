"""How noisy scores are, and how well one set of scores ranks as another does."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def rank_agreement(proxy: NDArray[np.float64], result: NDArray[np.float64]) -> float | None:
    """Return how well a one-seed proxy ranks structures as the results under other seeds do.

    Args:
        proxy: Scores (structures, seeds), at least 2 of each.
        result: Scores of the same structures and seeds.

    Returns:
        Spearman's correlation of the proxy under a seed with the mean of the results under the other seeds,
        averaged over the seeds; None when all structures have one score, so that nothing is ranked.
    """
    from scipy.stats import spearmanr  # takes half a second to import

    found = []
    for seed in range(proxy.shape[1]):
        others = np.delete(result, seed, axis=1).mean(axis=1)
        if np.ptp(proxy[:, seed]) == 0 or np.ptp(others) == 0:
            return None
        found.append(float(spearmanr(proxy[:, seed], others).statistic))
    return math.fsum(found) / len(found)


def seed_noise(scores: NDArray[np.float64]) -> tuple[float, int]:
    """Return the sum of squares of what seeds do to single structures, and its degrees of freedom.

    Two-way analysis of variance: what a seed does to all structures alike does not change their order, so it
    is no noise where all structures share their seeds.

    Args:
        scores: (structures, seeds), at least 1 of each.
    """
    residual = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0, keepdims=True)
    squares = float(((residual + scores.mean()) ** 2).sum())
    return squares, (scores.shape[0] - 1) * (scores.shape[1] - 1)


def spreads(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the standard deviations of one structure between seeds, and between structures without noise.

    Args:
        scores: (structures, seeds), at least 2 of each.
    """
    squares, freedom = seed_noise(scores)
    noise = squares / freedom
    between = float(scores.mean(axis=1).var(ddof=1)) - noise / scores.shape[1]
    return math.sqrt(noise), math.sqrt(max(0.0, between))
