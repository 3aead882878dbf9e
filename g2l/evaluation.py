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
    """One structure to train and score.

    Attributes:
        structure: The candidate.
        budget: How long it is trained.
        seed: Seed of its initialisation and of the order of its batches; the same for all candidates
            that are compared, so that they differ by structure only.
        holdouts: Rotated hold-outs (`SegmentationDataset.partitions`), distinct: one training for each, and
            the scores are averaged.
    """

    structure: DilationStructure
    budget: Budget
    seed: int
    holdouts: tuple[int, ...] = (0,)


class EvaluationStatus(StrEnum):
    """How the evaluation of a candidate ended."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The score of one structure under one budget and seed.

    Attributes:
        structure: The candidate.
        budget: How long it was trained.
        seed: Seed of its initialisation and of the order of its batches.
        holdouts: On which it was scored.
        metrics: Hold-out metrics in percent (`accuracy`, `edit`, `f1@10`, …); empty when failed.
        seconds: Wall-clock time of the evaluation.
        status: Done or failed.
        reason: Why it failed, or None.
        checkpoint: Where its weights are, or None when they were not kept.
        curve: Hold-out metrics after each epoch, by name; empty for a budget in steps.
    """

    structure: DilationStructure
    budget: Budget
    seed: int
    holdouts: tuple[int, ...] = (0,)
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    status: EvaluationStatus = EvaluationStatus.DONE
    reason: str | None = None
    checkpoint: Path | None = None
    curve: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

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
