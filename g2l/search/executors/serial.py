"""One candidate after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

from g2l.evaluation import Evaluation, Fitness
from g2l.search.executors.contract import EvaluationTask, attempt


class SerialExecutor:
    """Evaluates in the calling thread.

    Args:
        fitness: Trains and scores one candidate.
    """

    def __init__(self, fitness: Fitness) -> None:
        self._fitness = fitness

    def evaluate(self, tasks: Sequence[EvaluationTask]) -> Iterator[Evaluation]:
        """Yield one evaluation per task, in order."""
        for task in tasks:
            yield attempt(self._fitness, task)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        return None
