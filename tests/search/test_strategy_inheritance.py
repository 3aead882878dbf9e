from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from search_landscapes import Landscape, Scores, Shuffled, evaluation, score, scored
from small_searches import HAND, TARGET, config, search

from g2l.evaluation import Budget, Phase
from g2l.search.population import Candidate, Origin
from g2l.search.space import SearchSpace
from g2l.search.strategies.inheritance import closest
from g2l.search_config import Strategy
from g2l.structure import DilationStructure, LayerTopology

PROXY, FURTHER = 40, 10
FULL = 4 * PROXY
INHERITANCE = config(strategy=Strategy.INHERITANCE, budget=Budget(PROXY, "steps"))


def ages(summary):
    return {member.evaluation.budget.amount for member in summary.population}


def test_all_of_a_generation_have_one_age():
    generations = search(Scores(), config=INHERITANCE).generations
    # Four generations, the best from scratch; then the fifth and last generation, the best from scratch.
    assert [ages(summary) for summary in generations] == [{40}, {50}, {60}, {70}, {80}, {40}, {50}, {40}]
    assert [summary.evaluations for summary in generations][:6] == [8, 8, 8, 8, 8, 2]


def test_a_child_goes_on_where_a_parent_is():
    fitness = Scores()
    result = search(fitness, config=INHERITANCE)
    trained = {(task.structure, task.lineage, task.budget.amount) for task in fitness.tasks}
    children = [task for task in fitness.tasks if task.lineage]
    assert children
    for task in children:
        *before, last = task.lineage
        assert (last.structure, tuple(before), last.until) in trained
        assert all(earlier.until < later.until for earlier, later in pairwise(task.lineage))
    second = fitness.tasks[8:16]
    assert [task.lineage != () for task in second] == [True] * 4 + [False] * 4  # children first
    best = [member.structure for member in result.generations[0].population[:4]]
    assert [task.structure for task in second[4:]] == best
    for task in second[:4]:
        assert task.lineage == (Phase(until=PROXY, structure=closest_of(task.structure, best)),)


def closest_of(structure, parents):
    return max(parents, key=lambda p: sum(a == b for a, b in zip(p.rates, structure.rates, strict=True)))


def test_a_generation_costs_a_quarter_of_the_proxy_for_each_member():
    result = search(Scores(), config=INHERITANCE.replace(generations=4))
    assert result.steps == 8 * PROXY + 4 * 8 * FURTHER + 2 * PROXY


@pytest.mark.parametrize("trainings", [0.5, 1.0, 2.0, 2.5, 3.0, 10.0])
def test_it_spends_what_is_allowed_to_the_last_candidate(trainings):
    fitness = Scores()
    result = search(fitness, config=INHERITANCE.replace(trainings=trainings), full_steps=FULL)
    assert fitness.tasks[0].structure == HAND
    assert trainings * FULL - PROXY < result.steps <= trainings * FULL


def test_age_wins_nothing():
    """Old weights score 1000 more, whatever the structure: the winner is still the best from scratch."""

    def aged(task):
        bonus = 1000.0 if task.budget.amount > PROXY else 0.0
        return evaluation(
            task.structure, score(task.structure, TARGET) + bonus, budget=task.budget, lineage=task.lineage
        )

    result = search(Scores(aged), config=INHERITANCE.replace(trainings=10.0), full_steps=FULL)
    assert {(member.budget.amount, member.lineage) for member in result.population} == {(PROXY, ())}
    scores = [member.metrics["edit"] for member in result.population]
    assert scores[0] == max(scores) < 100.1
    assert result.hand_designed in result.population


def test_inherited_scores_that_mislead_do_not_name_the_winner():
    def misleading(task):
        good = score(task.structure, TARGET)
        value = 200.0 - good if task.lineage else good
        return evaluation(task.structure, value, budget=task.budget, lineage=task.lineage)

    result = search(Scores(misleading), config=INHERITANCE)
    assert result.best.metrics["edit"] == max(member.metrics["edit"] for member in result.population)
    assert result.best.metrics["edit"] >= score(HAND, TARGET)


def test_it_climbs():
    result = search(Scores(), config=INHERITANCE.replace(trainings=20.0), full_steps=FULL)
    assert result.best.metrics["edit"] > score(HAND, TARGET) + 20.0


@pytest.mark.parametrize("order", [1, 2, 3])
def test_completion_order_does_not_matter(order):
    settings = INHERITANCE.replace(trainings=10.0)
    shuffled = search(executor=Shuffled(Scores(), order), config=settings, full_steps=FULL)
    assert shuffled == search(Scores(), config=settings, full_steps=FULL)


def test_a_failed_one_has_no_children_and_a_failed_generation_ends_a_round():
    clean = Landscape(TARGET)
    search(clean, config=INHERITANCE)
    broken = frozenset(clean.calls[1:8:2])
    fitness = Scores(Landscape(TARGET, broken=broken)._evaluate)
    search(fitness, config=INHERITANCE)
    parents = {phase.structure.key for task in fitness.tasks for phase in task.lineage}
    assert not parents & broken

    def forgetful(task):
        if task.budget.amount > PROXY:
            raise RuntimeError("no memory")
        return scored(task, TARGET)

    result = search(Scores(forgetful), config=INHERITANCE)
    assert result.best.metrics["edit"] == max(member.metrics["edit"] for member in result.population)


def test_a_parent_is_the_one_with_most_rates_in_common_and_the_better_of_two():
    space = SearchSpace(LayerTopology.serial((4,)), (1, 2, 4))
    members = [
        Candidate(evaluation(space.from_rates(rates), 50.0), 50.0, order, Origin.RANDOM)
        for order, rates in enumerate([(1, 1, 2, 2), (1, 1, 1, 2), (2, 1, 1, 1)])
    ]
    assert closest(space.from_rates([1, 1, 1, 4]), members) is members[1]
    assert closest(space.from_rates([4, 1, 4, 4]), members) is members[0]


@pytest.mark.parametrize(("genes", "rates"), [(1, (1,)), (1, (1, 2)), (2, (1, 2)), (1, (1, 2, 4))])
@pytest.mark.parametrize("trainings", [None, 5.0, 50.0])
def test_a_tiny_space_is_searched_to_its_end(genes, rates, trainings):
    space = SearchSpace(LayerTopology.serial((genes,)), rates)
    target = space.from_rates([rates[-1]] * genes)
    fitness = Scores(lambda task: scored(task, target))
    result = search(
        fitness,
        config=INHERITANCE.replace(trainings=trainings),
        full_steps=FULL,
        space=space,
        hand_designed=DilationStructure.from_rates([rates[0]] * genes, (genes,)),
    )
    assert max(Counter(fitness.tasks).values()) == 1
    assert {task.structure for task in fitness.tasks if not task.lineage} == {
        member.structure for member in result.population
    }
    assert result.winner == target
