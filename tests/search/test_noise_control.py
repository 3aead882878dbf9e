from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import pytest
from search_landscapes import BUDGET, METRICS, Landscape, Shuffled, score
from small_searches import HAND, TARGET, config, search

from g2l.errors import InputError
from g2l.evaluation import Budget, Evaluation
from g2l.search_config import ProxyChoice, Strategy

FULL = 200


@dataclass
class Noisy:
    """Noise that shrinks with the steps; before 40 steps nothing but noise."""

    spread: float = 1.0
    scale: float = 12.0
    group_size: int = 1

    def __call__(self, group):
        return [self._evaluate(task) for task in group]

    def _evaluate(self, task):
        generator = np.random.default_rng(zlib.crc32(f"{task.structure.key} {task.seed}".encode()))
        learnt = 1.0 if task.budget.amount >= 40 else 0.0
        value = 50 * learnt + learnt * (score(task.structure, TARGET, self.scale) - 50)
        noise = generator.normal(0, self.spread if learnt else 5.0)
        metrics = dict.fromkeys(METRICS, value + noise)
        return Evaluation(**vars(task), metrics=metrics, seconds=0.1)


def settings(**changes):
    return config(
        strategy=Strategy.ONE_SHOT, budget=Budget(50, "steps"), trainings=24.0, leaders=3, final_seeds=3
    ).replace(**changes)


def test_the_whole_search_costs_no_more_than_it_may():
    result = search(Noisy(), config=settings(), full_steps=FULL)
    final = 2 * 3 * FULL
    assert result.steps + final <= 24 * FULL
    assert result.steps + final > 15 * FULL  # and the money is spent


def test_a_race_names_a_winner_that_is_better():
    result = search(Noisy(), config=settings(), full_steps=FULL)
    standing = result.race.choice.winner
    assert result.winner == standing.structure != HAND
    assert result.race.choice.difference > 0
    assert len(standing.scores) == 3
    assert result.race.standings[0].structure == result.winner


def test_where_nothing_differs_the_hand_designed_one_mostly_wins():
    flat = Noisy(spread=2.0, scale=0.0)
    winners = [search(flat, config=settings(), full_steps=FULL, seed=seed).winner for seed in range(6)]
    assert winners.count(HAND) >= 4


def test_race_seeds_are_fresh():
    seen = []

    class Recording(Noisy):
        def _evaluate(self, task):
            seen.append((task.seed, task.budget.amount))
            return super()._evaluate(task)

    search(Recording(), config=settings(), full_steps=FULL, seed=7)
    assert {seed for seed, steps in seen if steps == 50} == {7}
    race = {seed for seed, _ in seen} - {7}
    assert race <= {9, 10, 11}
    assert 9 in race


@pytest.mark.parametrize("order", [1, 2])
def test_completion_order_does_not_matter(order):
    expected = search(Noisy(), config=settings(), full_steps=FULL)
    assert search(executor=Shuffled(Noisy(), order), config=settings(), full_steps=FULL) == expected


def test_trainings_need_the_length_of_one():
    with pytest.raises(InputError, match="`trainings` can only be set where the length"):
        search(Landscape(TARGET), config=config(trainings=3.0))


def test_a_candidate_may_train_for_a_third_of_a_full_training():
    result = search(Noisy(), config=settings(proxy=ProxyChoice.THIRD), full_steps=FULL)
    assert result.proxy == 67
    with pytest.raises(InputError, match="`proxy` can only be third where the length"):
        search(Landscape(TARGET), config=config(proxy=ProxyChoice.THIRD))


def test_too_few_trainings_are_refused():
    with pytest.raises(InputError, match="`trainings` must leave room for two candidates of 7 steps"):
        search(Landscape(TARGET), config=config(trainings=1.0), full_steps=BUDGET.amount)
