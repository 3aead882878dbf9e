from __future__ import annotations

import pytest
from search_landscapes import Landscape

from g2l.config import PAPER, Budget, CandidateCheckpoints, GlobalSearchConfig, ProxyChoice, Strategy
from g2l.evaluation import EvaluationTask
from g2l.search.budget import (
    StepBudget,
    expected_evaluations,
    maximal_evaluations,
    plan_search,
    task_steps,
)
from g2l.search.engine import Search
from g2l.search.executors.base import SerialExecutor
from g2l.search.loop import run_global_search
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure, LayerTopology

SPACE = SearchSpace.powers_of_two(LayerTopology(), (10,) * 4, max_exponent=10, longest=5000)


def test_the_settings_of_the_paper():
    config = GlobalSearchConfig.of_preset(PAPER).replace(budget=Budget(5 * 5, "steps"))
    plan = plan_search(config, SPACE, full_steps=65 * 5, seconds_per_step=0.4, bytes_per_checkpoint=3_000_000)
    assert plan.expected.evaluations == 50 + 100 * 60  # METHOD, section 3: about 5,800
    assert plan.maximal.evaluations == 50 + 100 * 100 + 99 * 49
    assert plan.expected.steps == {"search": 6050 * 25}
    assert plan.expected.training_equivalents == pytest.approx(6050 * 5 / 65)
    assert plan.expected.seconds == pytest.approx(60_500)
    assert plan.expected.bytes == 6050 * 3_000_000


def test_a_limit_in_trainings_is_the_sum_of_the_parts():
    config = GlobalSearchConfig(trainings=24.0, proxy=ProxyChoice.THIRD, leaders=3, final_seeds=3, holdouts=2)
    plan = plan_search(config, SPACE, full_steps=200)
    assert plan.expected.steps == {
        "search": 24 * 200 - 1200,
        "race": 4 * 3 * 100,
        "final comparison": 2 * 3 * 200,
    }
    assert plan.expected.training_equivalents == plan.maximal.training_equivalents == 24.0 + 6
    assert plan.expected.evaluations == 3600 // (2 * 67) + 1200 // 134
    assert plan.expected.seconds is None
    assert plan.expected.bytes is None


@pytest.mark.parametrize(("strategy", "steps"), [("genetic", (4 + 4) * 10), ("random", 900)])
def test_a_small_genetic_search_does_not_spend_a_large_limit(strategy, steps):
    config = GlobalSearchConfig(
        strategy=Strategy(strategy),
        population=4,
        generations=1,
        mutation_probability=0.0,
        budget=Budget(10, "steps"),
        trainings=9.0,
    )
    assert plan_search(config, SPACE, full_steps=100).expected.steps == {"search": steps}


@pytest.mark.parametrize(("keep", "files"), [("all", 64), ("elite", 4), ("none", 0)])
def test_disk_follows_the_kept_checkpoints(keep, files):
    config = GlobalSearchConfig(
        strategy=Strategy.GENETIC,
        population=4,
        generations=15,
        mutation_probability=0.0,
        candidate_checkpoints=CandidateCheckpoints(keep),
    )
    plan = plan_search(config, SPACE, full_steps=1, bytes_per_checkpoint=7)
    assert plan.expected.bytes == files * 7


@pytest.mark.parametrize("population", [2, 5])
@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("margin", [0.0, 1000.0])
def test_real_searches_stay_within_the_plan(population, chance, margin):
    config = GlobalSearchConfig(
        strategy=Strategy.GENETIC,
        population=population,
        generations=3,
        mutation_probability=chance,
        survival_margin=margin,
    )
    hand = DilationStructure.hand_designed(4, 10)
    fitness = Landscape(SPACE.from_rates([64] * 40))
    result = run_global_search(Search(SPACE, config, SerialExecutor(fitness), seed=0, hand_designed=hand))
    assert result.evaluations <= maximal_evaluations(config)
    if chance in (0.0, 1.0) and margin == 1000.0:
        assert result.evaluations == pytest.approx(expected_evaluations(config), abs=result.cache_hits)


def test_a_longer_training_is_charged_for_the_rest_only():
    hand, other = DilationStructure.hand_designed(2, 4), DilationStructure.hand_designed(2, 3)
    budget = StepBudget(task_steps)
    assert budget.charge(EvaluationTask(hand, Budget(10, "steps"), 0)) == 10
    assert budget.cost(EvaluationTask(hand, Budget(25, "steps"), 0)) == 15
    assert budget.cost(EvaluationTask(hand, Budget(25, "steps"), 0, (1, 2))) == 50
    assert budget.cost(EvaluationTask(other, Budget(25, "steps"), 0)) == 25
    assert budget.charge(EvaluationTask(hand, Budget(25, "steps"), 0)) == 15
    assert (budget.cost(EvaluationTask(hand, Budget(10, "steps"), 0)), budget.spent) == (0, 25)
