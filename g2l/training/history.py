"""What a training tells of itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from g2l.records import EpochRecord
from g2l.training.callback import TrainingState


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
class ResultSoFar:
    """What a training has gathered beside its live objects.

    Attributes:
        history: Records of the completed epochs, and of the last one up to where it was cut short.
        losses: Of the steps of the last epoch, which goes on when a larger budget continues the training.
        best_epoch: Epoch of the best hold-out score so far, from 1, or None before any was measured.
        best_score: That score.
        best_weights: Copies of the weights of that epoch, in RAM.
    """

    history: list[EpochRecord] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    best_score: float = float("-inf")
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def add(self, record: EpochRecord) -> EpochRecord:
        """Append the record of an epoch, or put it in place of that of its first part; return it."""
        if self.history and self.history[-1].epoch == record.epoch:
            record = replace(record, seconds=record.seconds + self.history.pop().seconds)
        self.history.append(record)
        return record

    def offer(self, model: nn.Module, epoch: int, score: float) -> None:
        """Keep the weights of `model` if `score` beats those before; of equals the earlier epoch stays."""
        if score > self.best_score:
            self.best_epoch, self.best_score = epoch, score
            weights = model.state_dict()
            self.best_weights = {name: weight.detach().cpu().clone() for name, weight in weights.items()}

    def result(self, model: nn.Module, state: TrainingState) -> TrainingResult:
        """Put the selected weights into `model` and sum the training up."""
        if self.best_epoch is not None:
            model.load_state_dict(self.best_weights)
        best_epoch = self.best_epoch or state.epoch
        return TrainingResult(
            history=tuple(self.history),
            steps=state.step,
            epochs=state.epoch,
            best_epoch=best_epoch,
            metrics=self.history[best_epoch - 1].metrics,
            seconds=math.fsum(record.seconds for record in self.history),
        )
