from __future__ import annotations

from dataclasses import replace

import pytest

from g2l.evaluation import Budget, EvaluationTask, Phase
from g2l.training.trajectory import trajectory
from tests.training.tiny_fitness import LARGE, SMALL, evaluate


@pytest.mark.parametrize("lineage", [(), (Phase(2, SMALL),), (Phase(2, rates=(1, 2, 4)),)])
def test_each_point_is_the_score_of_a_training_that_ends_there(fitness, lineage):
    task = EvaluationTask(LARGE, Budget(1, "steps"), 3, lineage)
    points = list(trajectory(fitness, task, (2, 4, 9), averaging=0.9))
    assert [point.step for point in points] == [2, 4, 9]
    for point in points:
        call = (LARGE, Budget(point.step, "steps"), 3, lineage)
        assert point.raw == evaluate(fitness, *call).metrics
        assert point.averaged == evaluate(replace(fitness, averaging=0.9), *call).metrics
    assert points[-1].raw["likelihood"] != points[-1].averaged["likelihood"]
