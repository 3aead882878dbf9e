"""Roulette: parents are drawn with probability proportional to fitness (G2L, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from g2l.search.population import Candidate, costs_differ


def roulette(fitness: Sequence[float], count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Draw `count` indices with replacement, index i with probability f_i / Σ f.

    Deviation (METHOD, section 3, fix 2): the released code draws the neighbour of the one that was hit,
    so that the leader's share goes to the last.

    Args:
        fitness: One value per parent, see `strengths`; −inf for a failed candidate.
        count: Number of draws.
        generator: Source of randomness.

    Returns:
        Indices into `fitness`, shape (count,).
    """
    return generator.choice(len(fitness), size=count, p=_shares(np.asarray(fitness, dtype=np.float64)))


def strengths(population: Sequence[Candidate]) -> list[float]:
    """Return what each parent enters the roulette with; −inf for a failed candidate.

    Its fitness, as in the paper. Where costs differ there is no one number that says how good it is, but its
    place does: of n parents the one at place i wins NSGA-II's binary tournament (Deb et al. 2002, section
    III), in which two are drawn and the one at the better place wins, with probability (2(n − i) − 1) / n².

    Args:
        population: Best first; see `ranked`.
    """
    if not costs_differ(population):
        return [member.fitness for member in population]
    count = len(population)
    return [
        -math.inf if member.failed else 2.0 * (count - place) - 1.0 for place, member in enumerate(population)
    ]


def _shares(fitness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities; values below 0 get none, and if none is above 0 all that ran are alike."""
    weights = np.where(fitness > 0, fitness, 0.0)
    if not weights.any():
        weights = np.isfinite(fitness).astype(np.float64)
    if not weights.any():
        weights = np.ones_like(fitness)
    weights = weights / weights.max()  # keeps the sum finite and the shares exact for tiny values
    return np.asarray(weights / weights.sum(), dtype=np.float64)
