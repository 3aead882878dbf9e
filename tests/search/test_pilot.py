from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.search.pilot import USABLE_CORRELATION, choose_budget
from g2l.search.pilot_plan import FEWEST_STEPS, pilot_ladder, pilot_structures
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure, LayerTopology

ALL_ONES = DilationStructure(((1, 1),))
SENSIBLE = [DilationStructure(((1, rate),)) for rate in (2, 4, 8, 16, 32, 64)]
BUDGETS = (50, 100, 200)
GOOD = (40.0, 44.0, 48.0, 52.0, 56.0, 60.0)
SHUFFLED = (52.0, 40.0, 60.0, 44.0, 56.0, 48.0)


def pilot(*columns, structures=SENSIBLE, seeds=(0, 1), budgets=BUDGETS):
    """Return scores from one column per budget: a score per structure, the second seed a little off."""
    return {
        structure: {
            seed: {step: column[row] + 0.1 * place for step, column in zip(budgets, columns, strict=True)}
            for place, seed in enumerate(seeds)
        }
        for row, structure in enumerate(structures)
    }


def test_the_shortest_budget_that_ranks_as_the_horizon_is_chosen():
    report = choose_budget(pilot(SHUFFLED, GOOD, GOOD))
    assert (report.budget, report.horizon) == (100, 200)
    assert report.correlations[100] == pytest.approx(1.0)
    assert report.correlations[50] < USABLE_CORRELATION
    assert report.distinguishable
    assert report.verdict == (
        "A candidate trains 100 steps: the order by its one score has a rank correlation of 1.00 with that "
        "after 200 steps under other seeds. Structures differ by more than seeds do (7.5 points between "
        "structures, 0.0 between seeds)."
    )


def test_a_usable_budget_below_an_unusable_one_is_luck():
    report = choose_budget(pilot(GOOD, SHUFFLED, GOOD))
    assert report.correlations[50] == pytest.approx(1.0)
    assert report.budget == 200
    assert report.verdict.startswith(
        "No training shorter than 200 steps ranks structures as that one does (rank correlation of at least "
        "0.5): every candidate trains 200 steps."
    )


def test_a_budget_at_which_little_is_learnt_is_not_usable():
    assert choose_budget(pilot([score / 3 for score in GOOD], GOOD, GOOD)).budget == 100
    assert choose_budget(pilot([score / 1.9 for score in GOOD], GOOD, GOOD)).budget == 50


def test_equal_scores_are_not_usable():
    report = choose_budget(pilot([50.0] * 6, GOOD, GOOD))
    assert (report.budget, report.correlations[50]) == (100, None)


def test_a_pilot_that_learnt_nothing_says_so():
    report = choose_budget(pilot(*[(0.0,) * 6] * 3, seeds=(0, 1)))
    assert report.budget == report.horizon == 200
    assert "nothing was learnt" in report.verdict


def test_structures_that_do_not_differ_are_said_not_to():
    noise = {0: SHUFFLED, 1: (48.0, 56.0, 44.0, 60.0, 40.0, 52.0)}
    scores = {
        structure: {seed: dict.fromkeys(BUDGETS, noise[seed][row]) for seed in noise}
        for row, structure in enumerate(SENSIBLE)
    }
    report = choose_budget(scores)
    assert not report.distinguishable
    assert (report.budget, report.structure_spread) == (200, 0.0)
    assert report.verdict.endswith(
        "Structures do not differ by more than seeds do here (0.0 points between structures, "
        f"{report.seed_spread:.1f} between seeds): a search can hardly find anything better than the "
        "hand-designed one."
    )


def test_the_structure_that_is_always_last_is_no_evidence():
    """With it, the correlation of the shuffled budget is higher; it must not make it usable."""
    report = choose_budget(
        pilot((*SHUFFLED, 5.0), (*GOOD, 5.0), (*GOOD, 5.0), structures=[*SENSIBLE, ALL_ONES])
    )
    without = choose_budget(pilot(SHUFFLED, GOOD, GOOD))
    assert (report.budget, report.correlations) == (without.budget, without.correlations)
    assert (report.seed_spread, report.structure_spread) == (without.seed_spread, without.structure_spread)
    assert without.worth is None
    assert report.worth == pytest.approx(55.0)
    assert report.verdict == f"{without.verdict} The best one is 55.0 points above rate 1 everywhere."


def test_rates_that_are_worth_nothing_are_said_to_be():
    report = choose_budget(pilot(*[(*GOOD, 61.5)] * 3, structures=[*SENSIBLE, ALL_ONES]))
    assert report.verdict.endswith("The best one is 1.5 points below rate 1 everywhere.")


def test_a_failed_structure_takes_no_part():
    scores = pilot((*SHUFFLED, 99.0), (*GOOD, 99.0), (*GOOD, 99.0), structures=[*SENSIBLE, ALL_ONES])
    failed = DilationStructure(((4, 4),))
    scores[failed] = {seed: dict.fromkeys(BUDGETS, -math.inf) for seed in (0, 1)}
    assert choose_budget(scores).budget == 100


def test_too_few_structures_judge_nothing():
    report = choose_budget(pilot(*[GOOD[:3]] * 3, structures=SENSIBLE[:3]))
    assert (report.budget, report.seed_spread, report.distinguishable) == (200, None, True)
    assert report.verdict == (
        "Only 3 structures could be compared, too few to judge a budget by: every candidate trains 200 steps."
    )


def test_a_single_budget_is_the_horizon():
    assert choose_budget(pilot(GOOD, budgets=(70,))).budget == 70


@given(st.permutations(range(6)), st.data())
def test_the_order_of_structures_and_budgets_does_not_matter(order, data):
    column = st.lists(st.integers(1, 100).map(float), min_size=6, max_size=6)
    columns = [data.draw(column) for _ in BUDGETS]
    scores = pilot(*columns)
    shuffled = {
        SENSIBLE[row]: {
            seed: dict(reversed(by_budget.items())) for seed, by_budget in scores[SENSIBLE[row]].items()
        }
        for row in order
    }
    first, second = choose_budget(scores), choose_budget(shuffled)
    assert (second.budget, second.distinguishable) == (first.budget, first.distinguishable)
    assert first.budget in BUDGETS


def test_wrong_tables_are_refused():
    with pytest.raises(InputError, match=r"^`scores` must hold at least one structure, but is empty instead"):
        choose_budget({})
    with pytest.raises(InputError, match=r"^`scores` must hold at least 2 seeds, but holds 1 instead\.$"):
        choose_budget(pilot(GOOD, GOOD, GOOD, seeds=(0,)))
    with pytest.raises(InputError, match=r"^`scores` must hold at least one budget, but holds none\.$"):
        choose_budget(pilot(budgets=()))
    scores = pilot(GOOD, GOOD, GOOD)
    del scores[SENSIBLE[2]][1][100]
    with pytest.raises(InputError, match=r"the same seeds and budgets .*, but those of 1,8 are others\.$"):
        choose_budget(scores)


def test_ladders():
    assert pilot_ladder(500) == (31, 62, 125, 250)
    assert pilot_ladder(101) == (25, 51)
    assert pilot_ladder(60) == (30,)
    assert pilot_ladder(1) == (1,)
    with pytest.raises(InputError, match=r"^`full_steps` must be >= 1, but is 0 instead\.$"):
        pilot_ladder(0)


@given(st.integers(1, 10**6))
def test_ladders_ascend_to_half_of_the_training(full):
    ladder = pilot_ladder(full)
    assert ladder[-1] == math.ceil(full / 2)
    assert all(low < high <= 2 * low + 1 for low, high in pairwise(ladder))
    assert len(ladder) == 1 or FEWEST_STEPS <= ladder[0] < 2 * FEWEST_STEPS + 1


def test_structures_of_a_pilot():
    space = SearchSpace(LayerTopology.serial((4, 4)), (1, 2, 4, 8))
    hand_designed = DilationStructure.hand_designed(2, 4)
    chosen = pilot_structures(space, hand_designed, 6, np.random.default_rng(3))
    assert chosen[:2] == (hand_designed, DilationStructure(((1,) * 4,) * 2))
    assert len(set(chosen)) == 6
    assert all(map(space.contains, chosen))
    assert chosen == pilot_structures(space, hand_designed, 6, np.random.default_rng(3))
    assert (
        pilot_structures(space, DilationStructure.hand_designed(2, 4), 2, np.random.default_rng(0))
        == chosen[:2]
    )


def test_a_small_space_has_no_more_structures():
    space = SearchSpace(LayerTopology.serial((2,)), (1, 2))
    assert len(pilot_structures(space, DilationStructure(((1, 8),)), 9, np.random.default_rng(0))) == 4
    only = SearchSpace(LayerTopology.serial((2,)), (1,))
    assert pilot_structures(only, DilationStructure(((1, 2),)), 9, np.random.default_rng(0)) == (ALL_ONES,)


def test_a_pilot_of_one_structure_is_refused():
    space = SearchSpace(LayerTopology.serial((2,)), (1, 2))
    with pytest.raises(InputError, match=r"^`count` must be >= 2, but is 1 instead\.$"):
        pilot_structures(space, ALL_ONES, 1, np.random.default_rng(0))


def test_a_pilot_of_which_everything_failed_judges_nothing():
    report = choose_budget(pilot(*[[-math.inf] * 6] * 3))
    assert (report.budget, report.worth) == (200, None)
    assert report.verdict.startswith("Only 0 structures could be compared")
