"""What a search asks of an executor, and how every executor treats a candidate that fails."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol, Self

from g2l.errors import DiskFullError, G2LError
from g2l.evaluation import Evaluation, EvaluationStatus, EvaluationTask, Fitness

ATTEMPTS = 2
"""A candidate that fails is tried once more: a full disk or device may have been passing."""

LONGEST_REASON = 300
"""Characters kept of an error message; some hold whole tensors."""

WORKER_DIED = "its worker process died repeatedly (killed, or out of memory)"
"""Why a candidate failed that nobody lived to tell of."""

TaskGroup = tuple[EvaluationTask, ...]
"""Tasks that are handed to the fitness together; at least one."""

_log = logging.getLogger("g2l")


class Executor(Protocol):
    """Evaluates tasks somewhere. A context manager; used from one thread, by one search at a time.

    Leaving the context stops what is still running, promptly, whatever the reason (Ctrl-C too), and
    leaves no process behind.
    """

    @property
    def slots(self) -> int:
        """How many groups run at once, now; a cluster may grow and shrink."""
        ...

    def evaluate(self, groups: Iterator[TaskGroup | None]) -> Iterator[Evaluation]:
        """Yield one evaluation per task, one by one as their groups complete, in any order.

        A candidate that fails is tried again, then yielded as failed with its reason.

        Args:
            groups: Asked for the next group whenever a slot is idle, and not before. None says that there
                is nothing to do at the moment: it is asked again when one more evaluation was yielded.
                No two tasks are equal.

        Raises:
            DiskFullError: There is no room for its weights. The search can go on when there is; a candidate
                that were called a failure would never be tried again.
            RuntimeError: `groups` gives None though no evaluation is under way, so that none would follow.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def attempt(fitness: Fitness, group: TaskGroup) -> list[Evaluation]:
    """Return what `fitness` says of each task, or a failed evaluation after its last attempt.

    A group of several that fails is taken apart, so that a candidate fails by its own fault only.

    Raises:
        DiskFullError: There is no room, at the last attempt neither.
    """
    if len(group) > 1:
        try:
            return _checked(fitness(group), group)
        except Exception as error:
            _log.warning(
                "%d candidates fail together: %s; they are tried one by one.", len(group), describe(error)
            )
    return [_attempt_alone(fitness, task) for task in group]


def failed(task: EvaluationTask, reason: str) -> Evaluation:
    """Return the evaluation of a candidate that could not be trained."""
    return Evaluation(
        structure=task.structure,
        budget=task.budget,
        seed=task.seed,
        lineage=task.lineage,
        status=EvaluationStatus.FAILED,
        reason=reason,
    )


def describe(error: BaseException) -> str:
    """Return one line that says what went wrong."""
    lines = str(error).strip().splitlines()
    message = lines[0][:LONGEST_REASON].rstrip() if lines else "no message"
    return message if isinstance(error, G2LError) else f"{type(error).__name__}: {message}"


def _attempt_alone(fitness: Fitness, task: EvaluationTask) -> Evaluation:
    reason = ""
    for number in range(ATTEMPTS):
        try:
            return _checked(fitness((task,)), (task,))[0]
        except Exception as error:
            # Whatever a candidate raises is its failure and not the search's.
            if isinstance(error, DiskFullError) and number == ATTEMPTS - 1:
                raise
            reason = describe(error)
            _log.warning("%s: attempt %d of %d failed: %s", task.structure, number + 1, ATTEMPTS, reason)
    return failed(task, reason)


def _checked(evaluations: Sequence[Evaluation], group: TaskGroup) -> list[Evaluation]:
    """Return the evaluations with plain floats.

    Raises:
        ValueError: They are not those of `group` in its order, or a metric is not finite.
    """
    if tuple(evaluation.task for evaluation in evaluations) != group:
        raise ValueError("the fitness returned the evaluation of another task")
    checked = []
    for evaluation in evaluations:
        metrics = {name: float(value) for name, value in evaluation.metrics.items()}
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise ValueError(f"metric `{name}` is {value}")
        checked.append(replace(evaluation, metrics=metrics, seconds=float(evaluation.seconds)))
    return checked
