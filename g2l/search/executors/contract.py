"""What a search asks of an executor, and how every executor treats a candidate that fails."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from g2l.errors import G2LError
from g2l.evaluation import Budget, Evaluation, EvaluationStatus, Fitness
from g2l.structure import DilationStructure

ATTEMPTS = 2
"""A candidate that fails is tried once more: a full disk or device may have been passing."""

LONGEST_REASON = 300
"""Characters kept of an error message; some hold whole tensors."""

_log = logging.getLogger("g2l")


@dataclass(frozen=True)
class EvaluationTask:
    """One structure to train and score.

    Attributes:
        structure: The candidate.
        budget: How long it is trained.
        seed: Seed of its initialisation and of the order of its batches; the same for all candidates,
            so that they differ by structure only.
    """

    structure: DilationStructure
    budget: Budget
    seed: int


class Executor(Protocol):
    """Evaluates tasks somewhere. A context manager; used from one thread, by one search at a time.

    Leaving the context stops what is still running, promptly, whatever the reason (Ctrl-C too), and
    leaves no process behind.
    """

    def evaluate(self, tasks: Sequence[EvaluationTask]) -> Iterator[Evaluation]:
        """Yield one evaluation per task, as they complete, in any order.

        A candidate that fails is tried once more, then yielded as failed with its reason: it never
        raises. Tasks hold distinct structures.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def attempt(fitness: Fitness, task: EvaluationTask) -> Evaluation:
    """Return what `fitness` says of the task, or a failed evaluation after its last attempt."""
    reason = ""
    for number in range(ATTEMPTS):
        try:
            return _checked(fitness(task.structure, task.budget, task.seed), task)
        except Exception as error:
            # Whatever a candidate raises is its failure and not the search's.
            reason = describe(error)
            _log.warning("%s: attempt %d of %d failed: %s", task.structure, number + 1, ATTEMPTS, reason)
    return failed(task, reason)


def failed(task: EvaluationTask, reason: str) -> Evaluation:
    """Return the evaluation of a candidate that could not be trained."""
    return Evaluation(
        structure=task.structure,
        budget=task.budget,
        seed=task.seed,
        status=EvaluationStatus.FAILED,
        reason=reason,
    )


def describe(error: BaseException) -> str:
    """Return one line that says what went wrong."""
    lines = str(error).strip().splitlines()
    message = lines[0][:LONGEST_REASON].rstrip() if lines else "no message"
    return message if isinstance(error, G2LError) else f"{type(error).__name__}: {message}"


def _checked(evaluation: Evaluation, task: EvaluationTask) -> Evaluation:
    """Return the evaluation with plain floats.

    Raises:
        ValueError: It is of another task, or a metric is not finite.
    """
    if (evaluation.structure, evaluation.budget, evaluation.seed) != (task.structure, task.budget, task.seed):
        raise ValueError("the fitness returned the evaluation of another task")
    metrics = {name: float(value) for name, value in evaluation.metrics.items()}
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise ValueError(f"metric `{name}` is {value}")
    return replace(evaluation, metrics=metrics, seconds=float(evaluation.seconds))
