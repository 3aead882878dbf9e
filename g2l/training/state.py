"""The state of a training, and what takes part in it without the loop knowing it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from g2l.records import EpochRecord


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended; the model holds the selected weights.

    Attributes:
        history: One record per epoch, those before a resume included.
        steps: Optimiser steps completed.
        epochs: Epochs completed; a budget of steps may cut the last one short.
        best_epoch: Epoch whose weights are selected, from 1.
        metrics: Hold-out metrics of the selected weights; empty where none were measured.
        seconds: Wall-clock time of all epochs, those before a resume included.
    """

    history: tuple[EpochRecord, ...]
    steps: int
    epochs: int
    best_epoch: int
    metrics: Mapping[str, float]
    seconds: float


@dataclass
class TrainingState:
    """The state of a training; callbacks may change the model and the optimizer in place.

    Attributes:
        model: The network being trained.
        optimizer: Its optimizer.
        epoch: Epochs completed.
        step: Optimiser steps completed.
        too_large: Videos times frames of the smallest batch that did not fit the memory, or None.
        class_weights: Weight of each class in the cross-entropy, shape (C,), or None for equal weights.
        history: Records of the completed epochs, and of the part of the last one.
        losses: Of the steps of the last epoch, which continues when a larger budget continues the training.
        best_epoch: Epoch of the best hold-out score so far, from 1, or None before any was measured.
        best_score: That score.
        best_weights: Copies of the weights of that epoch, in RAM.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    step: int = 0
    too_large: int | None = None
    class_weights: Tensor | None = None
    history: list[EpochRecord] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    best_score: float = float("-inf")
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def add(self, record: EpochRecord) -> EpochRecord:
        """Append the record of an epoch, or replace that of its first part; return it."""
        if self.history and self.history[-1].epoch == record.epoch:
            record = replace(record, seconds=record.seconds + self.history.pop().seconds)
        self.history.append(record)
        return record

    def offer(self, score: float) -> None:
        """Keep the present weights if `score` is the best so far; of equals the earlier epoch stays."""
        if score > self.best_score:
            self.best_epoch, self.best_score = self.epoch, score
            weights = self.model.state_dict()
            self.best_weights = {name: weight.detach().cpu().clone() for name, weight in weights.items()}

    def result(self) -> TrainingResult:
        """Load the selected weights into the model and summarise the training."""
        if self.best_epoch is not None:
            self.model.load_state_dict(self.best_weights)
        best_epoch = self.best_epoch or self.epoch
        return TrainingResult(
            history=tuple(self.history),
            steps=self.step,
            epochs=self.epoch,
            best_epoch=best_epoch,
            metrics=self.history[best_epoch - 1].metrics,
            seconds=math.fsum(record.seconds for record in self.history),
        )


class TrainingCallback(Protocol):
    """Called after every step and every epoch; its state is saved in `last.ckpt`. The local search is one."""

    def on_step_end(self, state: TrainingState) -> None:
        """Called after each optimiser step; `state.step` is the number of completed steps."""
        ...

    def on_epoch_end(self, state: TrainingState, metrics: Mapping[str, float]) -> None:
        """Called after each epoch with its loss, learning rate and hold-out metrics, before it is saved."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs: plain values and tensors only."""
        ...

    def load_state_dict(self, saved: dict[str, Any], state: TrainingState) -> None:
        """Restore; called before the weights of model and optimizer are loaded, so it may reshape both."""
        ...
