"""Scores along one training, of the last and of the averaged weights: what budgets are chosen by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from g2l.evaluation import Budget, EvaluationTask
from g2l.training.candidate import CandidateTraining
from g2l.training.device import one_thread
from g2l.training.fitness import ShortTrainingFitness


@dataclass(frozen=True)
class TrajectoryPoint:
    """What a training scored after some steps.

    Attributes:
        step: Optimiser steps completed.
        raw: Hold-out metrics of the weights.
        averaged: Hold-out metrics of the averaged weights.
    """

    step: int
    raw: Mapping[str, float]
    averaged: Mapping[str, float]


def trajectory(
    fitness: ShortTrainingFitness, task: EvaluationTask, marks: Sequence[int], *, averaging: float
) -> Iterator[TrajectoryPoint]:
    """Yield the scores of one training at each mark, each the same as if it had ended there.

    Args:
        fitness: How candidates are trained; its `averaging` does not matter.
        task: What is trained; the last mark takes the place of its budget.
        marks: Optimiser steps at which it is scored, ascending, the first of them not inside its lineage.
        averaging: Decay of the averaged weights.

    Raises:
        InputError: As the fitness.
        OperationalError: As the fitness.
    """
    candidate = CandidateTraining(
        replace(task, budget=Budget(marks[-1], "steps")),
        data=fitness.data,
        backbone=fitness.backbone,
        recipe=fitness.recipe,
        device=fitness.device,
        averaging=averaging,
    )
    for mark in marks:
        with one_thread():
            candidate.train(mark)
            raw = candidate.score()
            with candidate.averaged_weights():
                averaged = candidate.score()
        yield TrajectoryPoint(mark, raw, averaged)
