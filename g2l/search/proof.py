"""Which shape is shown to be good enough: estimates of differences, and the rule that picks one.

Every block of trainings has a seed and a hold-out of its own, the same for all shapes in it. The difference
of shape s from the hand-designed structure in block b is modelled as

    d[s, b] = difference[s] + videos[s, h(b)] + noise[s, b]

with an effect of the held-out videos, so that repeated blocks of one hold-out count less than new ones. The
noise is pooled over all shapes. Each difference is shrunk by itself: one hopeless shape must not move others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from g2l.config import Preference

PRIOR_MEAN = -1.0
"""Expected difference of a cheaper shape, in points. With 0, twice as many searches ship a loss
(`benchmarks/shape_rules.py`): several shapes are tried, and the best of them is lucky."""
PRIOR_SPREAD = 1.5
"""Standard deviation of the true differences of sensible shapes, in points (measured: METHOD, section 8)."""
NOISE = 2.0
"""Expected standard deviation of one score within a block: 2.3 to 3.5 of a difference of two."""
NOISE_WEIGHT = 6.0
"""Degrees of freedom that this expectation is worth beside the scores themselves."""
OF_VIDEOS = 0.5
"""Share of that variance which belongs to shape and held-out videos, and returns with the same hold-out."""
CONFIDENCE = 0.9
"""One-sided, of everything that is called shown."""
LEAST_BLOCKS = 2
"""Blocks without which nothing counts as shown."""


@dataclass(frozen=True)
class Estimate:
    """Differences from the first shape, the hand-designed structure, in points, and their standard errors.

    Both are 0 for the first. `blocks` is in how many blocks each was scored beside the first, `freedom` the
    degrees of freedom of the errors.
    """

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    blocks: NDArray[np.int64]
    freedom: float

    def chance_above(self, limit: float) -> NDArray[np.float64]:
        """Return the probability that each difference is above a limit."""
        error = np.maximum(self.error, 1e-9)
        return np.asarray(special.stdtr(self.freedom, (self.mean - limit) / error))

    def interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return both one-sided limits of each difference."""
        reach = special.stdtrit(self.freedom, CONFIDENCE) * self.error
        return self.mean - reach, self.mean + reach

    def shown_above(self, limit: float) -> NDArray[np.bool_]:
        """Return which differences are shown to be above a limit."""
        return (self.interval()[0] > limit) & (self.blocks >= LEAST_BLOCKS)


Rule = Callable[[NDArray[np.float64], Sequence[int]], Estimate]
"""From scores, shape (shapes, blocks), NaN where there is none, and the hold-out of each block."""


def shrunken(
    scores: NDArray[np.float64],
    holdouts: Sequence[int],
    prior_mean: float = PRIOR_MEAN,
    prior_spread: float = PRIOR_SPREAD,
) -> Estimate:
    """Return the estimate of the model above; chosen in `benchmarks/shape_rules.py`.

    Args:
        scores: In points, shape (shapes, blocks), the hand-designed structure first; NaN where there is none.
        holdouts: Of each block.
        prior_mean: Expected difference before any score.
        prior_spread: Standard deviation of the true differences.
    """
    variance, freedom = _noise(scores)
    differences = scores - scores[0]
    held = np.asarray(holdouts)
    mean, error = np.zeros(len(scores)), np.zeros(len(scores))
    for shape, row in enumerate(differences[1:], start=1):
        seen = np.isfinite(row)
        together = held[seen][:, None] == held[seen]
        noise = 2 * variance * ((1 - OF_VIDEOS) * np.eye(seen.sum()) + OF_VIDEOS * together)
        weights = np.linalg.solve(noise, np.ones(seen.sum()))
        precision = weights.sum() + prior_spread**-2
        mean[shape] = (weights @ row[seen] + prior_mean / prior_spread**2) / precision
        error[shape] = precision**-0.5
    return Estimate(mean, error, np.isfinite(differences).sum(axis=1), freedom)


def _noise(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the variance of one score beside its shape and block, and its degrees of freedom."""
    shapes, blocks = np.nonzero(np.isfinite(scores))
    design = np.hstack([np.eye(scores.shape[0])[shapes], np.eye(scores.shape[1])[blocks]])
    values = scores[shapes, blocks]
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    residuals = values - design @ solution
    freedom = NOISE_WEIGHT + len(values) - int(rank)
    return (NOISE_WEIGHT * NOISE**2 + float(residuals @ residuals)) / freedom, freedom


def pick(estimate: Estimate, costs: Sequence[float], margin: float, prefer: Preference) -> int:
    """Return the number of the structure to ship; 0 is the hand-designed one.

    `costs` are in units of the first; up to `margin` points worse still counts as equal.
    """
    cost = np.asarray(costs)
    if prefer is Preference.ACCURACY:
        better = np.nonzero(estimate.shown_above(0.0))[0].tolist()
        return max(better, key=lambda one: float(estimate.mean[one]), default=0)
    if prefer is Preference.CHEAPEST:
        allowed = (estimate.mean > -margin) & (estimate.blocks > 0)
    else:
        allowed = estimate.shown_above(-margin) & ((cost < 1) | estimate.shown_above(0.0))
    return min(
        np.nonzero(allowed)[0].tolist(),
        key=lambda one: (float(cost[one]), -float(estimate.mean[one])),
        default=0,
    )


def smallest_difference(blocks: float, power: float = 0.8) -> float:
    """Return the difference in points that so many blocks show with a probability of `power`."""
    error = np.sqrt(2 / max(blocks, 1e-9)) * NOISE
    freedom = NOISE_WEIGHT + max(blocks - 1, 0)
    return float((special.stdtrit(freedom, CONFIDENCE) + special.ndtri(power)) * error)


def blocks_to_show(difference: float, power: float = 0.8) -> int:
    """Return the blocks that show a difference in points with a probability of `power`."""
    blocks = math.ceil(2 * ((special.ndtri(CONFIDENCE) + special.ndtri(power)) * NOISE / difference) ** 2)
    while smallest_difference(blocks, power) > difference:  # few blocks have wider tails than the normal
        blocks += 1
    return blocks
