"""One group of candidates after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from g2l.evaluation import Evaluation, Fitness
from g2l.search.executors.contract import TaskGroup, attempt
from g2l.search.executors.dispatch import NOTHING_RUNS


class SerialExecutor:
    """Evaluates in the calling thread.

    Args:
        fitness: Trains and scores candidates.
    """

    def __init__(self, fitness: Fitness) -> None:
        self._fitness = fitness

    @property
    def slots(self) -> int:
        """One: the calling thread."""
        return 1

    def evaluate(self, groups: Iterator[TaskGroup | None]) -> Iterator[Evaluation]:
        """Yield one evaluation per task, in order.

        Raises:
            RuntimeError: `groups` gives None: nothing ever runs while it is asked.
        """
        for group in groups:
            if group is None:
                raise RuntimeError(NOTHING_RUNS)
            yield from attempt(self._fitness, group)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        return None
