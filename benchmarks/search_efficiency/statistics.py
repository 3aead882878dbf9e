"""Rank correlation, its bootstrap interval, and how much of a spread is structure and how much is seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

RESAMPLES = 1000
BEST = 1 / 3
"""Share of the structures that is called the best: what a search has to tell apart in the end."""
LOW, HIGH = 2.5, 97.5
"""Percentiles of a 95 % interval."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """Standard deviations, in points.

    Attributes:
        seeds: Between trainings of one structure.
        structures: Between structures, the seeds' share taken out; 0 if they explain all.
        p_value: Chance of structures as different as these if only seeds differed (permutation test).
    """

    seeds: float
    structures: float
    p_value: float


def ranks(values: Numbers) -> Numbers:
    """Return the ranks along the last axis, from 1, ties sharing their mean; shape as `values`."""
    below = (values[..., :, None] > values[..., None, :]).sum(axis=-1)
    equal = (values[..., :, None] == values[..., None, :]).sum(axis=-1)
    return np.asarray(below + (equal + 1) / 2, dtype=np.float64)


def spearman(first: Numbers, second: Numbers) -> Numbers:
    """Return the rank correlation along the last axis; 0 where one side does not vary."""
    one, other = (side - side.mean(axis=-1, keepdims=True) for side in (ranks(first), ranks(second)))
    scale = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    product = (one * other).sum(axis=-1)
    return np.asarray(
        np.divide(product, scale, out=np.zeros_like(product), where=scale > 0), dtype=np.float64
    )


def of_the_others(scores: Numbers) -> Numbers:
    """Return the mean over all seeds but one, for each one: (seeds, structures) -> the same shape."""
    return np.asarray((scores.sum(axis=0) - scores) / (len(scores) - 1), dtype=np.float64)


def cross_seed_correlation(signal: Numbers, score: Numbers, resamples: int = RESAMPLES) -> Interval:
    """Correlate a signal of one seed with the mean score of the others, averaged over the choice of the one.

    The interval resamples structures, for they are what a search meets anew.

    Args:
        signal: Cheap score of each training, (seeds, structures).
        score: Score of the same trainings when they are over, (seeds, structures).
        resamples: Of the bootstrap.
    """
    reference = of_the_others(score)
    structures = signal.shape[1]
    drawn = np.random.default_rng(0).integers(structures, size=(resamples, structures))
    values = [spearman(one, other) for one, other in zip(signal, reference, strict=True)]
    resampled = [spearman(one[drawn], other[drawn]) for one, other in zip(signal, reference, strict=True)]
    low, high = np.percentile(np.mean(resampled, axis=0), (LOW, HIGH))
    return Interval(float(np.mean(values)), float(low), float(high))


def regret(signal: Numbers, score: Numbers) -> float:
    """Return by how much the structure that `signal` puts first is worse than the best, in points.

    Both are judged by the seeds that the signal has not seen; averaged over the choice of its seed. Of the
    best of many noisy means a part is luck, so that a perfect signal has a regret above 0 too.

    Args:
        signal: Cheap score of each training, (seeds, structures).
        score: Score of the same trainings when they are over, (seeds, structures).
    """
    reference = of_the_others(score)
    chosen = reference[np.arange(len(signal)), signal.argmax(axis=1)]
    return float(np.mean(reference.max(axis=1) - chosen))


def spread(scores: Numbers, resamples: int = RESAMPLES) -> Spread:
    """Part the variance of scores (seeds, structures) into that of seeds and that of structures."""
    seeds, _ = scores.shape
    between, within = _mean_squares(scores)
    generator = np.random.default_rng(0)
    flat = scores.ravel()
    shuffled = (generator.permutation(flat).reshape(scores.shape) for _ in range(resamples))
    at_least = sum(_ratio(*_mean_squares(one)) >= _ratio(between, within) for one in shuffled)
    return Spread(
        seeds=math.sqrt(within),
        structures=math.sqrt(max(0.0, (between - within) / seeds)),
        p_value=(at_least + 1) / (resamples + 1),
    )


def spread_of_the_best(signal: Numbers, score: Numbers) -> Spread:
    """Return the spread of `score` among the best third of the structures by one seed's `signal`.

    Chosen by one seed and measured by the others, so that no choice flatters itself; averaged over the one.

    Args:
        signal: What chooses, (seeds, structures), at least 3 seeds.
        score: What is measured, (seeds, structures).
    """
    parts = []
    for seed, values in enumerate(signal):
        better = np.argsort(-values, kind="stable")[: math.ceil(len(values) * BEST)]
        parts.append(spread(np.delete(score, seed, axis=0)[:, better], resamples=RESAMPLES // 4))
    return Spread(
        seeds=math.sqrt(np.mean([part.seeds**2 for part in parts])),
        structures=math.sqrt(np.mean([part.structures**2 for part in parts])),
        p_value=float(np.median([part.p_value for part in parts])),
    )


def standard_error(values: Numbers) -> float:
    """Return the standard error of a mean; NaN of a single value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _mean_squares(scores: Numbers) -> tuple[float, float]:
    """Return the mean squares between and within the columns of (seeds, structures)."""
    seeds, structures = scores.shape
    means = scores.mean(axis=0)
    between = seeds * ((means - means.mean()) ** 2).sum() / (structures - 1)
    within = ((scores - means) ** 2).sum() / (structures * (seeds - 1))
    return float(between), float(within)


def _ratio(between: float, within: float) -> float:
    return between / within if within > 0 else math.inf
