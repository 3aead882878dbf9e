"""The interface of an executor, and what every executor does with a candidate that fails."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, Self

from g2l.errors import DiskFullError, G2LError
from g2l.evaluation import Evaluation, EvaluationStatus, EvaluationTask, Fitness

ATTEMPTS = 2
"""A failed candidate is retried once: a full disk or an occupied device may be temporary."""
LONGEST_REASON = 300
"""Characters kept of an error message; some contain whole tensors."""
WORKER_DIED = "its worker process died repeatedly (killed, or out of memory)"

_log = logging.getLogger("g2l")


class Executor(Protocol):
    """Evaluates tasks. A context manager; used from one thread, by one search at a time.

    Leaving the context stops what is still running, promptly, whatever the reason (Ctrl-C too), and leaves
    no process behind.
    """

    @property
    def slots(self) -> int:
        """Number of tasks that run at once; a cluster may grow and shrink."""
        ...

    def submit(self, task: EvaluationTask) -> None:
        """Add a task to the queue. No two tasks are equal."""
        ...

    def results(self) -> Iterator[Evaluation]:
        """Yield one evaluation per submitted task as they complete, in any order, until none is left.

        A candidate that fails is retried, then yielded as failed with its reason. An iteration that is
        abandoned stops its tasks and clears the queue.

        Raises:
            DiskFullError: There is no space for the weights. A candidate must not be recorded as failed
                for that, since the search can be resumed later.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def attempt(fitness: Fitness, task: EvaluationTask) -> Evaluation:
    """Return the evaluation of `task`, or a failed one after the last attempt.

    Raises:
        DiskFullError: There was no space at the last attempt.
    """
    reason = ""
    for number in range(1, ATTEMPTS + 1):
        try:
            return _checked(fitness(task), task)
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


def _checked(evaluation: Evaluation, task: EvaluationTask) -> Evaluation:
    """Return the evaluation with plain floats.

    Raises:
        ValueError: It belongs to another task, or a metric is not finite.
    """
    if evaluation.task != task:
        raise ValueError("the fitness returned the evaluation of another task")
    metrics = {name: float(value) for name, value in evaluation.metrics.items()}
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise ValueError(f"metric `{name}` is {value}")
    return replace(evaluation, metrics=metrics, seconds=float(evaluation.seconds))
