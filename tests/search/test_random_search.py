from __future__ import annotations

import statistics

import numpy as np
import pytest
from search_landscapes import Landscape, score
from small_searches import HAND, SPACE, TARGET, config, search

from g2l.errors import InputError
from g2l.search.executors.serial import SerialExecutor
from g2l.search.random_search import run_random_search
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure


def test_random_search_evaluates_exactly_its_budget():
    fitness = Landscape(TARGET)
    settings = config(population=4)
    result = run_random_search(
        SPACE, settings, SerialExecutor(fitness), evaluations=10, seed=0, hand_designed=HAND
    )
    assert result.evaluations == len(fitness.calls) == len(set(fitness.calls)) == 10
    assert fitness.calls[0] == HAND.key
    assert [summary.evaluations for summary in result.generations] == [4, 4, 2]
    assert len(result.population) == 4
    scores = [score(DilationStructure(e.structure.stages), TARGET) for e in result.population]
    assert scores == sorted(scores, reverse=True)


def test_random_search_ends_where_the_space_does():
    space = SearchSpace((1,), (1, 2, 4))
    result = run_random_search(
        space,
        config(population=2),
        SerialExecutor(Landscape(space.from_rates([4]))),
        evaluations=50,
        seed=0,
        hand_designed=space.from_rates([1]),
    )
    assert result.best.structure.rates == (4,)
    assert result.evaluations == 3


def test_random_search_needs_an_evaluation():
    with pytest.raises(InputError, match="`evaluations` must be >= 1, but is 0 instead"):
        run_random_search(
            SPACE, config(), SerialExecutor(Landscape(TARGET)), evaluations=0, seed=0, hand_designed=HAND
        )


def test_genetic_beats_random_search_at_equal_evaluations():
    space = SearchSpace.powers_of_two((10,) * 2, max_exponent=10, longest=5000)
    hand = DilationStructure.hand_designed(2, 10)
    settings = config(population=12, generations=6, survival_margin=100.0)
    gains = []
    for seed in range(8):
        target = space.sample(np.random.default_rng(1000 + seed))
        genetic = search(Landscape(target), space=space, hand_designed=hand, config=settings, seed=seed)
        random = run_random_search(
            space,
            settings,
            SerialExecutor(Landscape(target)),
            evaluations=genetic.evaluations,
            seed=seed,
            hand_designed=hand,
        )
        assert random.evaluations == genetic.evaluations
        gains.append(genetic.best.metrics["f1@10"] - random.best.metrics["f1@10"])
    assert statistics.fmean(gains) > 2.0
    assert sum(gain > 0 for gain in gains) >= 6
