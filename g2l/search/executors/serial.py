"""One candidate after the other, in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Self

from g2l.evaluation import Evaluation, EvaluationTask, Fitness
from g2l.search.executors.contract import attempt


class SerialExecutor:
    """Evaluates in the calling thread.

    Args:
        fitness: Trains and scores candidates.
    """

    def __init__(self, fitness: Fitness) -> None:
        self._fitness = fitness
        self._waiting: deque[EvaluationTask] = deque()

    @property
    def slots(self) -> int:
        """1: the calling thread."""
        return 1

    def submit(self, task: EvaluationTask) -> None:
        """Add a task to the queue."""
        self._waiting.append(task)

    def results(self) -> Iterator[Evaluation]:
        """Evaluate one task per step of the iteration, in the order of submission."""
        try:
            while self._waiting:
                yield attempt(self._fitness, self._waiting.popleft())
        finally:
            self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._waiting.clear()
