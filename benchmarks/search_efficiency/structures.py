"""The structures whose order is predicted: sensible ones, bad ones, and random ones of several ranges."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure

PERIODS = (2, 3, 4)
"""Of the rates 2^(l mod period)."""
RANDOM_OF_ALL = 8
RANDOM_OF_A_RANGE = 4
MIN_LARGE = 32
"""Rates from here on are large."""


def benchmark_structures(space: SearchSpace) -> dict[str, DilationStructure]:
    """Return at least 24 distinct structures of a space with their names, always the same ones.

    Args:
        space: Shape and allowed rates; rates are capped at the largest.
    """
    named = {"2^l": _of_exponents(space, lambda layer, _: layer)}
    named["reversed"] = _of_exponents(space, lambda layer, layers: layers - 1 - layer)
    named["all ones"] = _of_exponents(space, lambda *_: 0)
    for period in PERIODS:
        named[f"2^(l mod {period})"] = _of_exponents(space, partial(_periodic, period))
    named["2^(l+2)"] = _of_exponents(space, lambda layer, _: layer + 2)
    named["only the largest"] = _of_exponents(space, lambda *_: len(space.rates) - 1)
    generator = np.random.default_rng(0)
    exponents = len(space.rates)
    large = space.rates.index(MIN_LARGE)
    ranges = {
        "all": (0, exponents, RANDOM_OF_ALL),
        "small": (0, 3, RANDOM_OF_A_RANGE),
        "middle": (1, min(6, exponents), RANDOM_OF_A_RANGE),
        "large": (large, exponents, RANDOM_OF_A_RANGE),
    }
    for name, (low, high, amount) in ranges.items():
        for number in range(amount):
            drawn = generator.integers(low, high, size=space.genes)
            named[f"random {name} {number + 1}"] = space.from_rates([space.rates[e] for e in drawn])
    first = {structure: name for name, structure in reversed(named.items())}
    return {name: structure for name, structure in named.items() if first[structure] == name}


def _periodic(period: int, layer: int, _: int) -> int:
    return layer % period


def _of_exponents(space: SearchSpace, exponent: Callable[[int, int], int]) -> DilationStructure:
    rates = [
        space.rates[min(exponent(layer, layers), len(space.rates) - 1)]
        for layers in space.shape
        for layer in range(layers)
    ]
    return space.from_rates(rates)
