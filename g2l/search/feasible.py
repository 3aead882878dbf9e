"""Genomes whose span keeps to a limit: how many there are, a random one, the nearest one.

The span is Σ over all layers of the largest rate side by side (`g2l.structure`): where no rates are side by
side, the sum of all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Layers = tuple[tuple[int, ...], ...]
"""Of each layer, the places of its rates in a genome (`LayerTopology.layers`)."""


def count(rates: tuple[int, ...], layers: Layers, limit: int) -> int:
    """Return the number of genomes within the limit; beyond about 10^12 it is rounded to 12 digits.

    Args:
        rates: Allowed rates, ascending and distinct.
        layers: Which rates are side by side; one layer or more.
        limit: Largest span, at least that of the smallest rates.
    """
    logs = _log_counts(rates, tuple(map(len, layers)), limit)
    whole, part = divmod(float(logs[-1, limit]), 1.0)
    return round(Fraction(2.0**part) * (1 << int(whole)))


def draw(rates: tuple[int, ...], layers: Layers, limit: int, generator: np.random.Generator) -> list[int]:
    """Return a random genome; each one within the limit is equally likely.

    So a draw is one of the space without a limit, given that it keeps to the limit. Drawing there and
    lowering what exceeds would crowd the draws at the edge, with all rates nearly alike: of 40 rates up to
    1024 hardly any sum is small by chance.

    Args:
        rates: Allowed rates, ascending and distinct.
        layers: Which rates are side by side; one layer or more.
        limit: Largest span, at least that of the smallest rates.
        generator: Source of randomness.
    """
    logs = _log_counts(rates, tuple(map(len, layers)), limit)
    genome = [0] * sum(map(len, layers))
    room = limit
    for remaining, layer in zip(reversed(range(len(layers))), layers, strict=True):
        # A rate is as likely to be a layer's largest as there are genomes that go on from it.
        further = np.array([logs[remaining, room - rate] if rate <= room else -np.inf for rate in rates])
        ways = further + _log_combinations(len(rates), len(layer))
        shares = np.exp2(ways - ways.max())
        largest = int(generator.choice(len(rates), p=shares / shares.sum()))
        for place, index in zip(layer, _side_by_side(len(layer), largest, generator), strict=True):
            genome[place] = rates[index]
        room -= rates[largest]
    return genome


def lower(genome: Sequence[int], rates: tuple[int, ...], layers: Layers, limit: int) -> list[int]:
    """Return the genome with its largest rates lowered, a step at a time, until it keeps to the limit.

    The largest goes first since its step frees most: with powers of two, none side by side, no other way
    needs fewer steps, so this is a nearest genome in octaves, and small rates, which cost next to nothing,
    stay as they are. Of equal ones the last goes first, so that the first stage, which alone sees the
    features, keeps its view. Side by side, all rates above the step go down to it.

    Args:
        genome: Rates, allowed ones or not; returned as they are when their span keeps to the limit.
        rates: Allowed rates, ascending and distinct.
        layers: Which rates are side by side.
        limit: Largest span, at least that of the smallest rates.
    """
    lowered = list(genome)
    largest = [max(lowered[place] for place in layer) for layer in layers]
    excess = sum(largest) - limit
    while excess > 0:
        number = max(range(len(layers)), key=lambda layer: (largest[layer], layer))
        below = rates[bisect_left(rates, largest[number]) - 1]
        for place in layers[number]:
            lowered[place] = min(lowered[place], below)
        excess -= largest[number] - below
        largest[number] = below
    return lowered


def _side_by_side(width: int, largest: int, generator: np.random.Generator) -> list[int]:
    """Return random indices of which `largest` is the largest; each combination is equally likely."""
    if width == 1:
        return [largest]
    while True:
        indices: list[int] = generator.integers(largest + 1, size=width).tolist()
        if max(indices) == largest:
            return indices


def _log_combinations(choices: int, width: int) -> NDArray[np.float64]:
    """Return log2 of how many combinations of w rates side by side have rates[j] as their largest.

    These are (j + 1)^w − j^w. Shape (choices,).
    """
    return np.log2([(index + 1) ** width - index**width for index in range(choices)])


@lru_cache(maxsize=4)
def _log_counts(rates: tuple[int, ...], widths: tuple[int, ...], limit: int) -> NDArray[np.float64]:
    """Return log2 of the number of genomes of the last k layers with a span of at most s.

    Logarithms, since 11^300 genomes exceed what a float holds.

    Args:
        rates: Allowed rates.
        widths: Rates side by side in each layer.
        limit: Largest span.

    Returns:
        Shape (layers + 1, limit + 1).
    """
    logs = np.full((len(widths) + 1, limit + 1), -np.inf)
    logs[0] = 0.0
    for (shorter, longer), width in zip(pairwise(logs), reversed(widths), strict=True):
        for rate, combinations in zip(rates, _log_combinations(len(rates), width), strict=True):
            if rate <= limit:
                longer[rate:] = np.logaddexp2(longer[rate:], shorter[: limit + 1 - rate] + combinations)
    return logs
