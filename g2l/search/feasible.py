"""Genomes whose rates sum to at most a limit: how many there are, a random one, the nearest one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def count(rates: tuple[int, ...], genes: int, limit: int) -> int:
    """Return the number of genomes within the limit; beyond about 10^12 it is rounded to 12 digits.

    Args:
        rates: Allowed rates, ascending and distinct.
        genes: Length of a genome, >= 1.
        limit: Largest sum, at least that of the smallest rates.
    """
    whole, part = divmod(float(_log_counts(rates, genes, limit)[genes, limit]), 1.0)
    return round(Fraction(2.0**part) * (1 << int(whole)))


def draw(rates: tuple[int, ...], genes: int, limit: int, generator: np.random.Generator) -> list[int]:
    """Return a random genome; each one within the limit is equally likely.

    So a draw is one of the space without a limit, given that it keeps to the limit. Drawing there and
    lowering what exceeds would crowd the draws at the edge, with all rates nearly alike: of 40 rates up to
    1024 hardly any sum is small by chance.

    Args:
        rates: Allowed rates, ascending and distinct.
        genes: Length of a genome, >= 1.
        limit: Largest sum, at least that of the smallest rates.
        generator: Source of randomness.
    """
    logs = _log_counts(rates, genes, limit)
    genome: list[int] = []
    room = limit
    for remaining in reversed(range(genes)):
        # A rate is as likely as there are genomes that go on from it.
        ways = np.array([logs[remaining, room - rate] if rate <= room else -np.inf for rate in rates])
        shares = np.exp2(ways - ways.max())
        rate = rates[int(generator.choice(len(rates), p=shares / shares.sum()))]
        genome.append(rate)
        room -= rate
    return genome


def lower(genome: Sequence[int], rates: tuple[int, ...], limit: int) -> list[int]:
    """Return the genome with its largest rates lowered, a step at a time, until their sum keeps to the limit.

    The largest goes first since its step frees most: with powers of two no other way needs fewer steps, so
    this is a nearest genome in octaves, and small rates, which cost next to nothing, stay as they are. Of
    equal ones the last goes first, so that the first stage, which alone sees the features, keeps its view.

    Args:
        genome: Rates, allowed ones or not; returned as they are when their sum keeps to the limit.
        rates: Allowed rates, ascending and distinct.
        limit: Largest sum, at least that of the smallest rates.
    """
    lowered = list(genome)
    excess = sum(lowered) - limit
    while excess > 0:
        place = max(range(len(lowered)), key=lambda gene: (lowered[gene], gene))
        below = rates[bisect_left(rates, lowered[place]) - 1]
        excess -= lowered[place] - below
        lowered[place] = below
    return lowered


@lru_cache(maxsize=4)
def _log_counts(rates: tuple[int, ...], genes: int, limit: int) -> NDArray[np.float64]:
    """Return log2 of the number of genomes of k rates with a sum of at most s; shape (genes + 1, limit + 1).

    Logarithms, since 11^300 genomes exceed what a float holds.
    """
    logs = np.full((genes + 1, limit + 1), -np.inf)
    logs[0] = 0.0
    for shorter, longer in pairwise(logs):
        for rate in rates:
            if rate <= limit:
                longer[rate:] = np.logaddexp2(longer[rate:], shorter[: limit + 1 - rate])
    return logs
