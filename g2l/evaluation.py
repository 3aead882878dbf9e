"""What a search asks of a candidate and what it gets back; shared by `search` and `training`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from g2l.errors import InputError
from g2l.structure import DilationStructure


@dataclass(frozen=True)
class Budget:
    """How long a training runs: a number of epochs or of optimiser steps.

    Raises:
        InputError: The amount is below 1 or the unit is unknown.
    """

    amount: int
    unit: Literal["epochs", "steps"] = "epochs"

    def __post_init__(self) -> None:
        if self.unit not in ("epochs", "steps"):
            raise InputError(f"`unit` must be epochs or steps, but is {self.unit!r} instead.")
        if self.amount < 1:
            raise InputError(f"`amount` must be >= 1, but is {self.amount} instead.")

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}"


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
        metrics: Hold-out metrics in percent (`accuracy`, `edit`, `f1@10`, …); empty when failed.
        seconds: Wall-clock time of the evaluation.
        status: Done or failed.
        reason: Why it failed, or None.
        checkpoint: Where its weights are, or None when they were not kept.
    """

    structure: DilationStructure
    budget: Budget
    seed: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    status: EvaluationStatus = EvaluationStatus.DONE
    reason: str | None = None
    checkpoint: Path | None = None


class Fitness(Protocol):
    """Trains a structure briefly and scores it on the hold-out; picklable, so that processes can run it.

    A fitness may raise: the executor retries, then records the candidate as failed.
    """

    def __call__(self, structure: DilationStructure, budget: Budget, seed: int) -> Evaluation:
        """Return the evaluation of `structure` trained for `budget` under `seed`."""
        ...
