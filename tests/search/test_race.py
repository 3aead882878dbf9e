from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from search_landscapes import BUDGET, METRICS, Landscape, score
from small_searches import HAND as HAND_DESIGNED
from small_searches import TARGET, config, search

from g2l.config import Budget, ProxyChoice
from g2l.errors import InputError
from g2l.evaluation import Evaluation
from g2l.search.race import BEYOND_NOISE, choose, next_round, race_results
from g2l.structure import DilationStructure

HAND, A, B, C = (DilationStructure(((rate,),)) for rate in (1, 2, 4, 8))
STRUCTURES = (HAND, A, B, C)
FAILED = -math.inf


def race(**scores):
    found = {"hand": HAND, "a": A, "b": B, "c": C}
    return race_results({found[name]: scores[name] for name in found if name in scores})


def names(found):
    return [one.structure for one in found]


def test_the_best_mean_is_first_and_ties_go_to_the_earlier():
    assert names(race(a=[60, 62], b=[70, 50], hand=[61, 61], c=[61, 61])) == [HAND, A, C, B]


def test_who_was_dropped_ranks_below_who_went_on_and_who_failed_is_last():
    assert names(race(a=[70], hand=[60, 60], b=[90, FAILED], c=[65, 50])) == [HAND, C, A, B]


def test_a_leader_beyond_noise_wins():
    choice = choose(race(hand=[60, 61, 59], a=[66, 67.5, 64.5], b=[61, 60, 60]), HAND)
    assert (choice.winner.structure, choice.difference) == (A, 6.0)
    assert choice.difference > BEYOND_NOISE * choice.standard_error


def test_ties_go_to_the_hand_designed_structure():
    choice = choose(race(hand=[60, 65, 55], a=[63, 60, 60], b=[61, 60, 60]), HAND)
    assert (choice.winner.structure, choice.difference) == (HAND, 1.0)


def test_known_standard_error_of_a_pair():
    """Of two structures, the pooled noise is that of the paired differences 1, 2, 3: 1 / √3."""
    choice = choose(race(hand=[60, 60, 60], a=[61, 62, 63]), HAND)
    assert choice.standard_error == pytest.approx(1 / math.sqrt(3))


def test_failures_neither_win_nor_stop_a_race():
    assert choose(race(hand=[60, 61], a=[FAILED, 90]), HAND).winner.structure == HAND
    choice = choose(race(hand=[FAILED, 60], a=[50, 51]), HAND)
    assert (choice.winner.structure, choice.difference) == (A, None)
    assert choose(race(hand=[FAILED], a=[FAILED]), HAND).winner.structure == HAND
    assert choose(race(hand=[], a=[]), HAND).winner.structure == HAND


def test_without_knowing_the_noise_all_get_a_second_seed():
    assert next_round(race(hand=[60], a=[50], b=[64]), HAND) == (B, HAND, A)


def test_who_is_behind_beyond_noise_is_dropped():
    second = race(hand=[60, 61], a=[64, 66], b=[55, 55], c=[63.5, 65])
    assert next_round(second, HAND) == (A, C, HAND)  # as the yardstick it stays
    assert next_round(race(hand=[60, 61], a=[64, 61], b=[63], c=[62, 61]), HAND) == (A, C, HAND)


def test_a_decided_race_ends():
    assert next_round(race(hand=[60, 60], a=[70, 71], b=[60, 61]), HAND) == ()
    assert next_round(race(hand=[70, 71], a=[60, 60], b=[60, 61]), HAND) == ()
    assert next_round(race(hand=[60, 61], a=[FAILED, 1]), HAND) == ()
    assert next_round(race(hand=[60]), HAND) == ()


tables = st.lists(st.lists(st.integers(0, 100), min_size=3, max_size=3), min_size=4, max_size=4)


@given(tables, st.integers(1, 40), st.integers(-50, 50))
def test_units_do_not_matter_and_the_winner_is_never_below_the_hand_designed(rows, factor, shift):
    plain = race_results(dict(zip(STRUCTURES, rows, strict=True)))
    choice = choose(plain, HAND)
    assume(abs(choice.difference - BEYOND_NOISE * choice.standard_error) > 1e-9)
    scaled = [[factor * score + shift for score in row] for row in rows]
    assert choose(race_results(dict(zip(STRUCTURES, scaled, strict=True))), HAND).winner.structure == (
        choice.winner.structure
    )
    assert choice.winner.mean >= next(one.mean for one in plain if one.structure == HAND)
    going = next_round(plain, HAND)
    assert not going or {HAND, plain[0].structure} <= set(going)


FULL = 200


@dataclass
class Noisy:
    """Noise that shrinks with the steps; before 40 steps nothing but noise."""

    spread: float = 1.0
    scale: float = 12.0

    def __call__(self, task):
        generator = np.random.default_rng(zlib.crc32(f"{task.structure.key} {task.seed}".encode()))
        learnt = 1.0 if task.budget.amount >= 40 else 0.0
        value = 50 * learnt + learnt * (score(task.structure, TARGET, self.scale) - 50)
        noise = generator.normal(0, self.spread if learnt else 5.0)
        metrics = dict.fromkeys(METRICS, value + noise)
        return Evaluation(**vars(task), metrics=metrics, seconds=0.1)


def settings(**changes):
    return config(budget=Budget(50, "steps"), trainings=24.0, leaders=3, final_seeds=3).replace(**changes)


def test_the_whole_search_costs_no_more_than_it_may():
    result = search(Noisy(), config=settings(), full_steps=FULL)
    assert 15 * FULL < result.steps <= 24 * FULL


def test_a_race_names_a_winner_that_is_better():
    result = search(Noisy(), config=settings(), full_steps=FULL)
    standing = result.race.winner
    assert result.winner == standing.structure != HAND_DESIGNED
    assert result.race.difference > 0
    assert len(standing.scores) == 3
    assert result.race.results[0].structure == result.winner


def test_where_nothing_differs_the_hand_designed_one_mostly_wins():
    flat = Noisy(spread=2.0, scale=0.0)
    winners = [search(flat, config=settings(), full_steps=FULL, seed=seed).winner for seed in range(6)]
    assert winners.count(HAND_DESIGNED) >= 4


def test_race_seeds_and_holdouts_are_fresh():
    seen = []

    class Recording(Noisy):
        def __call__(self, task):
            seen.append((task.seed, task.budget.amount, task.holdouts))
            return super().__call__(task)

    search(Recording(), config=settings(holdouts=2), full_steps=FULL, seed=7)
    assert {(seed, held) for seed, steps, held in seen if steps == 50} == {(7, (0, 1))}
    race = {(seed, held) for seed, _, held in seen} - {(7, (0, 1))}
    assert {(9, (2,))} <= race <= {(9, (2,)), (10, (3,)), (11, (4,))}


def test_a_candidate_may_train_for_a_third_of_a_full_training():
    result = search(Noisy(), config=settings(proxy=ProxyChoice.THIRD), full_steps=FULL)
    assert result.proxy == 67
    with pytest.raises(InputError, match="`proxy` can only be third where the length"):
        search(Landscape(TARGET), config=config(proxy=ProxyChoice.THIRD))


def test_too_few_trainings_are_refused():
    with pytest.raises(InputError, match="must pay for two candidates of 7 steps"):
        search(Landscape(TARGET), config=config(trainings=1.0), full_steps=BUDGET.amount)
