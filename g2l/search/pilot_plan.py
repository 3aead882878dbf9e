"""How long a candidate trains, and what a pilot trains to find out."""

from __future__ import annotations

import numpy as np

from g2l.errors import InputError
from g2l.search.space import SearchSpace
from g2l.search_config import GlobalSearchConfig, ProxyChoice
from g2l.structure import DilationStructure

FEWEST_STEPS = 25
"""Shortest budget that is tried: before it, Adam has hardly left the initialisation on any data set."""


def third_of(full_steps: int) -> int:
    """Return a third of a full training in optimiser steps.

    In `benchmarks/search_efficiency` one score after a third of the training has a rank correlation of 0.80
    to 0.92 with the result under other seeds, on four data sets; after a tenth −0.36 to 0.70.

    Args:
        full_steps: Optimiser steps of a full training, >= 1.
    """
    return -(-full_steps // 3)


def proxy_steps(config: GlobalSearchConfig, full_steps: int | None) -> int:
    """Return the optimiser steps of one candidate, as far as no pilot chooses them.

    Raises:
        InputError: They depend on the length of a full training, which is not known.
    """
    if config.proxy is not ProxyChoice.THIRD:
        return config.budget.amount
    if full_steps is None:
        raise InputError("`proxy` can only be third where the length of a full training is known.")
    return third_of(full_steps)


def pilot_ladder(full_steps: int) -> tuple[int, ...]:
    """Return the budgets that a pilot compares: half of the full training, halved again and again.

    Args:
        full_steps: Optimiser steps of a full training.

    Returns:
        Ascending, distinct; the last one is the horizon.

    Raises:
        InputError: `full_steps` is below 1.
    """
    if full_steps < 1:
        raise InputError(f"`full_steps` must be >= 1, but is {full_steps} instead.")
    budgets = [(full_steps + 1) // 2]
    while budgets[-1] // 2 >= FEWEST_STEPS:
        budgets.append(budgets[-1] // 2)
    return tuple(reversed(budgets))


def pilot_structures(
    space: SearchSpace, hand_designed: DilationStructure, count: int, generator: np.random.Generator
) -> tuple[DilationStructure, ...]:
    """Return the distinct structures that a pilot trains; fewer than `count` where the space has no more.

    Args:
        space: Allowed structures.
        hand_designed: Comes first; projected onto the space.
        count: How many, at least 2: the second is the one with the smallest rate everywhere, which shows how
            much rates are worth at all; the others are random, uniform over the exponents of their rates.
        generator: Draws the random ones.

    Raises:
        InputError: `count` is below 2, or the hand-designed structure has another shape than the space.
    """
    if count < 2:
        raise InputError(f"`count` must be >= 2, but is {count} instead.")
    chosen = dict.fromkeys((space.project(hand_designed), space.from_rates(space.rates[:1] * space.genes)))
    while len(chosen) < min(count, space.size):
        chosen.setdefault(space.sample(generator))
    return tuple(chosen)
