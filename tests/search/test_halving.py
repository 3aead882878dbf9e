from __future__ import annotations

from collections import Counter

import pytest
from search_landscapes import BUDGET, Landscape, Scores, Shuffled, evaluation, score, scored
from small_searches import HAND, TARGET, config, search

from g2l.errors import OperationalError
from g2l.search.space import SearchSpace
from g2l.search.strategies.halving import rung_budgets
from g2l.search_config import Strategy
from g2l.structure import LayerTopology

PROXY = BUDGET.amount
HALVING = config(strategy=Strategy.HALVING)
PAID = HALVING.replace(trainings=10.0)
FULL = 4 * PROXY


def amounts(tasks):
    return Counter(task.budget.amount for task in tasks)


def test_rungs_double_up_to_a_full_training():
    assert rung_budgets(7, None) == (7, 14, 28)
    assert rung_budgets(7, 28) == (7, 14, 28)
    assert rung_budgets(7, 27) == (7, 14)
    assert rung_budgets(7, 5) == (7,)


def test_a_promoted_one_pays_for_the_rest_only():
    fitness = Scores()
    result = search(fitness, config=PAID, full_steps=FULL)
    count = amounts(fitness.tasks)
    assert set(count) == {PROXY, 2 * PROXY, 4 * PROXY}
    # More than one of three: what was among the best third need not be when better ones have come.
    assert count[PROXY] > 2 * count[2 * PROXY] > 4 * count[4 * PROXY]
    # On top of the rung below: 7 to 14 costs 7, and 14 to 28 costs 14.
    assert result.steps == PROXY * (count[PROXY] + count[2 * PROXY] + 2 * count[4 * PROXY])
    assert 10 * FULL - PROXY < result.steps <= 10 * FULL


def test_the_winner_was_trained_longest():
    result = search(Scores(), config=PAID, full_steps=FULL)
    assert result.best.budget.amount == 4 * PROXY
    lengths = [member.budget.amount for member in result.population]
    assert lengths == sorted(lengths, reverse=True)
    assert len({member.structure for member in result.population}) == len(result.population)
    assert result.best.metrics["edit"] > result.hand_designed.metrics["edit"]


def test_without_a_limit_it_starts_a_population_a_generation():
    fitness = Scores()
    search(fitness, config=HALVING, full_steps=FULL)
    assert amounts(fitness.tasks)[PROXY] == 8 * 5
    assert fitness.tasks[0].structure == HAND


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("slots", [1, 3, 9])
def test_neither_order_nor_number_of_workers_matters(order, slots):
    shuffled = search(executor=Shuffled(Scores(), order, slots), config=PAID, full_steps=FULL)
    assert shuffled == search(Scores(), config=PAID, full_steps=FULL)


def test_generations_add_up_to_all_evaluations():
    fitness = Scores()
    result = search(fitness, config=PAID, full_steps=FULL)
    counts = [summary.evaluations for summary in result.generations]
    assert sum(counts) == result.evaluations == len(fitness.tasks)
    assert counts[:-1] == [8] * (len(counts) - 1)
    assert counts[-1] > 0  # none without news


def test_short_scores_that_mislead_decide_nothing_at_the_top():
    """After the first rung the hand-designed structure is the worst, after the second the best."""

    def late(task):
        good = score(task.structure, HAND)
        value = good if task.budget.amount > PROXY else 100.0 - good
        return evaluation(task.structure, value, budget=task.budget)

    result = search(Scores(late), config=PAID.replace(trainings=40.0), full_steps=FULL)
    top = [member for member in result.population if member.budget.amount == 4 * PROXY]
    assert result.best == max(top, key=lambda member: member.metrics["edit"])
    assert result.best.metrics["edit"] == score(result.best.structure, HAND)


def test_one_that_fails_when_it_is_promoted_does_not_win():
    def fragile(task):
        if task.budget.amount > PROXY:
            raise RuntimeError("no memory")
        return scored(task, TARGET)

    result = search(Scores(fragile), config=PAID, full_steps=FULL)
    assert result.best.reason is None
    assert result.best.budget.amount == PROXY
    assert result.best.metrics["edit"] == max(member.metrics["edit"] for member in result.population)


def test_failures_are_last_and_never_promoted():
    clean = Landscape(TARGET)
    search(clean, config=PAID, full_steps=FULL)
    broken = frozenset(clean.calls[1:8:2])
    fitness = Landscape(TARGET, broken=broken)
    result = search(fitness, config=PAID, full_steps=FULL)
    reasons = [member.reason is not None for member in result.population]
    assert reasons == sorted(reasons)
    assert sum(reasons) == len(broken) == 4
    assert all(Counter(fitness.calls)[key] == 2 for key in broken)  # one task each, tried twice


def test_a_first_population_that_fails_entirely_ends_it():
    def fail(task):
        raise RuntimeError("no memory")

    with pytest.raises(OperationalError, match="none of the first 8 candidates"):
        search(Scores(fail), config=PAID, full_steps=FULL)


@pytest.mark.parametrize(("genes", "rates"), [(1, (1,)), (1, (1, 2)), (2, (1, 2)), (1, (1, 2, 4))])
@pytest.mark.parametrize("trainings", [None, 5.0, 50.0])
def test_a_tiny_space_is_searched_to_its_end(genes, rates, trainings):
    space = SearchSpace(LayerTopology.serial((genes,)), rates)
    target = space.from_rates([rates[-1]] * genes)
    fitness = Scores(lambda task: scored(task, target))
    result = search(
        fitness,
        config=HALVING.replace(trainings=trainings),
        full_steps=FULL,
        space=space,
        hand_designed=space.from_rates([rates[0]] * genes),
    )
    assert len(set(fitness.tasks)) == len(fitness.tasks)
    assert amounts(fitness.tasks)[PROXY] == space.size
    assert result.winner == target
