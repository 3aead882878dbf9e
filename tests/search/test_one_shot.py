from __future__ import annotations

import pytest
from search_landscapes import BUDGET, Landscape, Scores, Shuffled, evaluation, score, scored
from small_searches import HAND, SPACE, TARGET, config, search

from g2l.config import Strategy
from g2l.errors import OperationalError
from g2l.evaluation import TrainingSegment
from g2l.search.space import SearchSpace
from g2l.structure import LayerTopology

PROXY = BUDGET.amount
FULL = 4 * PROXY
ONE_SHOT = config(strategy=Strategy.ONE_SHOT)


def test_the_super_network_is_paid_for_once():
    fitness = Scores()
    result = search(fitness, config=ONE_SHOT.replace(trainings=10.0), full_steps=FULL)
    assert {(task.budget.amount, task.history) for task in fitness.shared} == {
        (FULL, (TrainingSegment(until=FULL, rates=SPACE.rates),))
    }
    assert len(fitness.shared) > 100
    assert {task.budget.amount for task in fitness.alone} == {PROXY, 2 * PROXY, 4 * PROXY}
    rungs = [task.budget.amount for task in fitness.alone]
    going_on = {PROXY: PROXY, 2 * PROXY: PROXY, 4 * PROXY: 2 * PROXY}
    assert result.steps == FULL + sum(going_on[budget] for budget in rungs)
    assert 10 * FULL - PROXY < result.steps <= 10 * FULL


@pytest.mark.parametrize(
    ("trainings", "full_steps", "steps", "verified"),
    [(None, None, 3 * PROXY, 8), (None, FULL, FULL, 8), (1.0, FULL, FULL // 2, 2), (2.0, PROXY, PROXY, 1)],
)
def test_it_is_as_long_as_a_full_training_or_half_of_what_is_allowed(trainings, full_steps, steps, verified):
    fitness = Scores()
    result = search(fitness, config=ONE_SHOT.replace(trainings=trainings), full_steps=full_steps)
    assert {task.budget.amount for task in fitness.shared} == {steps}
    assert len({task.structure for task in fitness.alone}) == verified
    assert result.steps >= steps + verified * PROXY


def test_the_hand_designed_is_verified_first_and_the_others_by_rank():
    fitness = Scores()
    result = search(fitness, config=ONE_SHOT)
    assert fitness.tasks[0].structure == fitness.alone[0].structure == HAND
    distinct = {task.structure for task in fitness.shared} - {HAND}
    best = sorted((score(structure, TARGET) for structure in distinct), reverse=True)
    first = [task for task in fitness.alone if task.budget == BUDGET]
    assert [score(task.structure, TARGET) for task in first[1:]] == best[:7]
    assert all(not member.history for member in result.population)
    assert result.best == result.population[0]
    assert HAND in {member.structure for member in result.population}


def test_shared_scores_that_mislead_do_not_name_the_winner():
    """The super-network likes what is far from the target; among what it proposes the truth decides."""

    def misleading(task):
        good = score(task.structure, TARGET)
        value = 200.0 - good if task.history else good
        return evaluation(task.structure, value, budget=task.budget, history=task.history)

    result = search(Scores(misleading), config=ONE_SHOT)
    assert result.best.structure == HAND
    assert result.best.metrics["edit"] == score(HAND, TARGET)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_completion_order_does_not_matter(order):
    settings = ONE_SHOT.replace(trainings=10.0)
    shuffled = search(executor=Shuffled(Scores(), order), config=settings, full_steps=FULL)
    assert shuffled == search(Scores(), config=settings, full_steps=FULL)


def test_nobody_asks_for_the_network_before_one_has_trained_it():
    fitness = Scores()
    done = []

    class Watching(Shuffled):
        def results(self):
            done.append(len(fitness.tasks))
            yield from super().results()

    search(executor=Watching(fitness, 0), config=ONE_SHOT)
    assert done[:2] == [0, 1]


def test_failures_are_not_verified():
    clean = Landscape(TARGET)
    search(clean, config=ONE_SHOT)
    broken = frozenset(clean.calls[1:8:2])
    result = search(Landscape(TARGET, broken=broken), config=ONE_SHOT)
    assert not broken & {member.structure.key for member in result.population}
    assert result.best.reason is None


def test_best_ones_that_all_fail_alone_end_it():
    def fragile(task):
        if not task.history:
            raise RuntimeError("no memory")
        return scored(task, TARGET)

    with pytest.raises(OperationalError, match=r"none of the first 8 candidates .*: RuntimeError: no memory"):
        search(Scores(fragile), config=ONE_SHOT)


@pytest.mark.parametrize(("genes", "rates"), [(1, (1,)), (1, (1, 2)), (2, (1, 2)), (1, (1, 2, 4))])
@pytest.mark.parametrize("trainings", [None, 5.0, 50.0])
def test_a_tiny_space_is_searched_to_its_end(genes, rates, trainings):
    space = SearchSpace(LayerTopology(), (genes,), rates)
    target = space.from_rates([rates[-1]] * genes)
    fitness = Scores(lambda task: scored(task, target))
    result = search(
        fitness,
        config=ONE_SHOT.replace(trainings=trainings),
        full_steps=FULL,
        space=space,
        hand_designed=space.from_rates([rates[0]] * genes),
    )
    assert len(fitness.shared) == len({task.structure for task in fitness.alone}) == space.size
    assert result.winner == target
