"""Survival: who stays in the population (G2L, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from g2l.search.population import Candidate, ranked


def survivors(candidates: Iterable[Candidate], count: int) -> tuple[Candidate, ...]:
    """Return the best `count` distinct candidates, best first; see `ranked` for what is best."""
    return ranked(candidates)[:count]


def within_margin(population: Sequence[Candidate], margin: float) -> tuple[Candidate, ...]:
    """Return the members that are at most `margin` points of fitness below the leader.

    Args:
        population: Best first, its leader not failed.
        margin: Points; 10 in the paper.
    """
    return tuple(
        member
        for member in population
        if not member.failed and population[0].fitness - member.fitness <= margin
    )
