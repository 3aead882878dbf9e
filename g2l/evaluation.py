"""Request and result of a candidate's evaluation; shared by `search` and `training`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from g2l.config import Budget
from g2l.structure import DilationStructure


@dataclass(frozen=True)
class EvaluationTask:
    """One structure to train and score."""

    structure: DilationStructure
    budget: Budget
    seed: int
    """Of the initialisation and the order of batches; the same for all candidates that are compared."""
    holdouts: tuple[int, ...] = (0,)
    """Rotated hold-outs (`SegmentationDataset.partitions`): one training for each; scores are averaged."""


class EvaluationStatus(StrEnum):
    """How the evaluation of a candidate ended."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The score of one structure under one budget and seed; see `EvaluationTask`."""

    structure: DilationStructure
    budget: Budget
    seed: int
    holdouts: tuple[int, ...] = (0,)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the hold-out, in percent (`accuracy`, `edit`, `f1@10`, …); empty when failed."""
    seconds: float = 0.0
    status: EvaluationStatus = EvaluationStatus.DONE
    reason: str | None = None
    """Why it failed."""
    checkpoint: Path | None = None
    """Where its weights are, if they were kept."""
    curve: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Hold-out metrics after each epoch, by name; empty for a budget in steps."""

    @property
    def task(self) -> EvaluationTask:
        """The evaluated structure."""
        return EvaluationTask(self.structure, self.budget, self.seed, self.holdouts)


class Fitness(Protocol):
    """Trains a structure briefly and scores it on the hold-out; picklable, so that processes can run it.

    A score is a function of its task alone. A fitness may raise: the executor retries, then records the
    candidate as failed.
    """

    def __call__(self, task: EvaluationTask) -> Evaluation:
        """Return the evaluation of `task`."""
        ...
