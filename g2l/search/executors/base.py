"""The interface of an executor, what all of them do with a candidate that fails, and the serial executor."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Self

from g2l.errors import DiskFullError, G2LError, InputError
from g2l.evaluation import Evaluation, EvaluationStatus, EvaluationTask, Fitness

ATTEMPTS = 2
"""A failed candidate is retried once: a full disk or an occupied device may be temporary."""
LONGEST_REASON = 300
"""Characters kept of an error message; some contain whole tensors."""
WORKER_DIED = "its worker process died repeatedly (killed, or out of memory)"

_log = logging.getLogger("g2l")


class Executor(ABC):
    """Evaluates tasks. A context manager; used from one thread, by one search at a time.

    Leaving the context stops what is still running, promptly, whatever the reason (Ctrl-C too), and leaves
    no process behind.

    Args:
        fitness: Trains and scores candidates; picklable, unless they are trained in this process.
        workers: Number of tasks that run at once.

    Raises:
        InputError: `workers` is below 1.
    """

    def __init__(self, fitness: Fitness, *, workers: int = 1) -> None:
        if workers < 1:
            raise InputError(f"`workers` must be >= 1, but is {workers} instead.")
        self._fitness = fitness
        self._workers = workers
        self._waiting: deque[EvaluationTask] = deque()

    @property
    def slots(self) -> int:
        """Number of tasks that run at once; a cluster may grow and shrink."""
        return self._workers

    def submit(self, task: EvaluationTask) -> None:
        """Add a task to the queue. No two tasks are equal."""
        self._waiting.append(task)

    @abstractmethod
    def results(self) -> Iterator[Evaluation]:
        """Yield one evaluation per submitted task as they complete, in any order, until none is left.

        A candidate that fails is retried, then yielded as failed with its reason. An iteration that is
        abandoned stops its tasks and clears the queue.

        Raises:
            DiskFullError: There is no space for the weights. A candidate must not be recorded as failed
                for that, since the search can be resumed later.
        """

    def close(self) -> None:
        """Stop all tasks."""
        self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class SerialExecutor(Executor):
    """Evaluates one candidate after the other, in the calling thread and in the order of submission."""

    def results(self) -> Iterator[Evaluation]:
        """Evaluate one task per step of the iteration."""
        try:
            while self._waiting:
                yield attempt(self._fitness, self._waiting.popleft())
        finally:
            self._waiting.clear()


def attempt(fitness: Fitness, task: EvaluationTask) -> Evaluation:
    """Return the evaluation of `task`, or a failed one after the last attempt.

    Raises:
        DiskFullError: There was no space at the last attempt.
    """
    reason = ""
    for number in range(1, ATTEMPTS + 1):
        try:
            evaluation = fitness(task)
            if evaluation.task != task:
                raise ValueError("the fitness returned the evaluation of another task")
            metrics = {name: float(value) for name, value in evaluation.metrics.items()}
            for name, value in metrics.items():
                if not math.isfinite(value):
                    raise ValueError(f"metric `{name}` is {value}")
            return replace(evaluation, metrics=metrics, seconds=float(evaluation.seconds))
        except Exception as error:  # a candidate may raise anything, and must not end the search
            if isinstance(error, DiskFullError) and number == ATTEMPTS:
                raise
            reason = describe(error)
            _log.warning("%s: attempt %d of %d failed: %s", task.structure, number, ATTEMPTS, reason)
    return failed(task, reason)


def failed(task: EvaluationTask, reason: str) -> Evaluation:
    """Return the evaluation of a candidate that could not be trained."""
    return Evaluation(**vars(task), status=EvaluationStatus.FAILED, reason=reason)


def describe(error: BaseException) -> str:
    """Return an error in one line."""
    lines = str(error).strip().splitlines()
    message = lines[0][:LONGEST_REASON].rstrip() if lines else "no message"
    return message if isinstance(error, G2LError) else f"{type(error).__name__}: {message}"
