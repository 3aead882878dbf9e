"""Mutation: each rate of a mutant may change to another one (G2L, section 3.2)."""

from __future__ import annotations

import numpy as np

from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure


def mutate(
    structure: DilationStructure, space: SearchSpace, probability: float, generator: np.random.Generator
) -> DilationStructure:
    """Return `structure` with each rate changed, with `probability`, to a different allowed rate.

    Deviation (METHOD, section 3, fix 3): the new rate is uniform over the other exponents, where the
    released code draws a number in 1 … 1024 and snaps it, so that 62 % become 512 or 1024.

    Args:
        structure: A member of `space`.
        space: Allowed rates.
        probability: Chance of each gene, in [0, 1].
        generator: Source of randomness.
    """
    choices = len(space.rates)
    changed = generator.random(space.genes) < probability
    if choices == 1:
        return structure
    # A shift of 1 … choices − 1 around the ring of indices reaches every other rate equally often.
    shifts = generator.integers(1, choices, size=space.genes)
    indices = np.searchsorted(space.rates, structure.rates)
    mutated = np.where(changed, (indices + shifts) % choices, indices)
    return space.from_rates([space.rates[index] for index in mutated])
