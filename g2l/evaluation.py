"""What a search asks of a candidate and what it gets back; shared by `search` and `training`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from g2l.config import Budget as Budget
from g2l.errors import InputError
from g2l.structure import DilationStructure


@dataclass(frozen=True)
class TrainingSegment:
    """A part of a training with rates of one kind; rates change no shape of a weight, so they may change.

    Attributes:
        until: Optimiser steps completed when it ends, counted from the start of the training, >= 1.
        structure: Its rates, or None when every step draws rates of its own.
        rates: What is drawn from, each layer alone and uniformly, when `structure` is None; else empty.

    Raises:
        InputError: `until` is below 1, or not exactly one of `structure` and `rates` is given.
    """

    until: int
    structure: DilationStructure | None = None
    rates: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.until < 1:
            raise InputError(f"`until` must be >= 1, but is {self.until} instead.")
        if (self.structure is None) != bool(self.rates):
            raise InputError("a training segment must have either a structure or the rates to draw from.")


@dataclass(frozen=True)
class EvaluationTask:
    """One structure to train and score.

    Attributes:
        structure: The candidate.
        budget: How long it is trained, from the very start: the steps of its history count.
        seed: Seed of its initialisation and of the order of its batches; the same for all candidates
            that are compared, so that they differ by structure only.
        history: Warm-start history: with which rates its weights were trained before its own, earliest first;
            empty when it starts from its initialisation.
    """

    structure: DilationStructure
    budget: Budget
    seed: int
    history: tuple[TrainingSegment, ...] = ()

    @property
    def shares_weights(self) -> bool:
        """Whether no step is taken with its own rates: it is scored with weights of others."""
        return bool(self.history) and self.history[-1].until == self.budget.amount


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
        history: With which rates its weights were trained before its own.
        metrics: Hold-out metrics in percent (`accuracy`, `edit`, `f1@10`, …); empty when failed.
        seconds: Wall-clock time of the evaluation.
        status: Done or failed.
        reason: Why it failed, or None.
        checkpoint: Where its weights are, or None when they were not kept.
    """

    structure: DilationStructure
    budget: Budget
    seed: int
    history: tuple[TrainingSegment, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    status: EvaluationStatus = EvaluationStatus.DONE
    reason: str | None = None
    checkpoint: Path | None = None

    @property
    def task(self) -> EvaluationTask:
        """What was evaluated."""
        return EvaluationTask(self.structure, self.budget, self.seed, self.history)


class Fitness(Protocol):
    """Trains a structure briefly and scores it on the hold-out; picklable, so that processes can run it.

    A score is a function of its task alone. A fitness may raise: the executor retries, then records the
    candidate as failed.
    """

    def __call__(self, task: EvaluationTask) -> Evaluation:
        """Return the evaluation of `task`."""
        ...
