"""What a search has spent: the optimiser steps that a clever executor cannot avoid."""

from __future__ import annotations

from g2l.evaluation import EvaluationTask, Phase

_Course = tuple[int, tuple[Phase, ...], object]
"""A training up to some step of its last phase: seed, the phases before, the rates of the last one."""


class Ledger:
    """Counts optimiser steps; a training that goes on from an earlier one is charged for the rest only.

    A charge does not depend on what other runs have left in the store, so that a budget buys the same
    search everywhere.

    Attributes:
        spent: Steps charged so far.
        completed: Those of them whose result is known.
        trained: Those of them that were trained now.
    """

    def __init__(self) -> None:
        self._reached: dict[_Course, set[int]] = {}
        self._under_way: dict[EvaluationTask, int] = {}
        self.spent = 0
        self.completed = 0
        self.trained = 0

    def price(self, task: EvaluationTask) -> int:
        """Return the steps that `task` costs on top of all that were charged so far.

        Args:
            task: With a budget in steps.
        """
        courses = _courses(task)
        total = courses[-1][1]
        for course, until in reversed(courses):
            reached = [step for step in self._reached.get(course, ()) if step <= until]
            if reached:
                return total - max(reached)
        return total

    def charge(self, task: EvaluationTask) -> int:
        """Count the price of `task` as spent and return it."""
        price = self.price(task)
        for course, until in _courses(task):
            self._reached.setdefault(course, set()).add(until)
        self.spent += price
        self._under_way[task] = self._under_way.get(task, 0) + price
        return price

    def complete(self, task: EvaluationTask, *, trained: bool) -> None:
        """Count what was charged for `task` as completed.

        Args:
            task: Charged before.
            trained: Whether it was trained now, and not known from an earlier or another run.
        """
        steps = self._under_way.pop(task, 0)
        self.completed += steps
        self.trained += steps if trained else 0


def _courses(task: EvaluationTask) -> list[tuple[_Course, int]]:
    """Return every phase of a training with what led to it, and the step at which it ends."""
    courses: list[tuple[_Course, int]] = []
    for number, phase in enumerate(task.lineage):
        rates = phase.rates if phase.structure is None else phase.structure
        courses.append(((task.seed, task.lineage[:number], rates), phase.until))
    last = task.lineage[-1].until if task.lineage else 0
    if task.budget.amount > last or not task.lineage:
        courses.append(((task.seed, task.lineage, task.structure), task.budget.amount))
    return courses
