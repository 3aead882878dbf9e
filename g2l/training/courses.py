"""The courses of a training: stretches of steps, each with rates of one kind (`EvaluationTask.lineage`)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from g2l.errors import InputError
from g2l.evaluation import EvaluationTask, Phase
from g2l.files import fingerprint
from g2l.structure import DilationStructure

_DRAWS = 1
"""Keeps the generators of rates apart from those of the order of batches, which also start from the seed."""


@dataclass(frozen=True)
class Course:
    """A stretch of a training with rates of one kind.

    Trainings that share a course up to some step are the same training up to there: what `key` names is all
    that a state in it depends on, beside its step.

    Attributes:
        shape: Layers per stage.
        seed: Seed of the training.
        before: The courses that led to it, earliest first.
        until: Steps completed when it ends.
        structure: Its rates, or None when every step draws its own.
        rates: What is drawn from then, each layer alone and uniformly; else empty.
    """

    shape: tuple[int, ...]
    seed: int
    before: tuple[Phase, ...]
    until: int
    structure: DilationStructure | None
    rates: tuple[int, ...]

    @property
    def start(self) -> int:
        """Steps completed when it starts."""
        return self.before[-1].until if self.before else 0

    @property
    def key(self) -> str:
        """16 hex digits that name the course, however long it is."""
        before = [[phase.until, *_rates(phase.structure, phase.rates)] for phase in self.before]
        return fingerprint([self.seed, before, *_rates(self.structure, self.rates), list(self.shape)])

    @property
    def first_structure(self) -> DilationStructure:
        """The rates of its first step."""
        return self.structure_at(self.start)

    def structure_at(self, step: int) -> DilationStructure:
        """Return the rates with which the step is taken before which `step` steps were completed."""
        if self.structure is not None:
            return self.structure
        generator = np.random.default_rng([self.seed % 2**32, step, _DRAWS])
        chosen = generator.integers(len(self.rates), size=sum(self.shape))
        return DilationStructure.from_rates([self.rates[number] for number in chosen], self.shape)


def courses_of(task: EvaluationTask, steps: int) -> list[Course]:
    """Return the courses of a training, earliest first; where the lineage ends it, its own rates have none.

    Args:
        task: What is trained.
        steps: Its budget in optimiser steps.

    Raises:
        InputError: A phase of the lineage does not end after the one before it, or ends after the training,
            or has a structure of another shape.
    """
    shape = task.structure.shape
    for phase in task.lineage:
        if phase.structure is not None and phase.structure.shape != shape:
            raise InputError(
                f"`lineage` must hold structures of the shape of {task.structure}, "
                f"but holds {phase.structure} instead."
            )
    ends = [0, *(phase.until for phase in task.lineage)]
    for earlier, later in pairwise(ends):
        if not earlier < later <= steps:
            raise InputError(
                f"`lineage` must hold phases that end in {earlier + 1} … {steps}, one after the other, "
                f"but one ends at {later} instead."
            )
    courses = [
        Course(shape, task.seed, task.lineage[:number], phase.until, phase.structure, phase.rates)
        for number, phase in enumerate(task.lineage)
    ]
    if ends[-1] < steps:
        courses.append(Course(shape, task.seed, task.lineage, steps, task.structure, ()))
    return courses


def _rates(structure: DilationStructure | None, rates: tuple[int, ...]) -> list[Any]:
    """Return JSON values that tell rates apart."""
    return [None if structure is None else structure.as_lists(), list(rates)]
