"""The state of a training, what takes part in it, and `last.ckpt`, from which it continues bit for bit.

The file is replaced atomically after every epoch and at the end of a budget, so that a kill at any instant
leaves the state after some step; the steps since are taken again and give the same bits. The order of batches
is a function of seed and epoch, so the number of steps says which batches of an epoch are still to come.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor, nn

from g2l.errors import InputError
from g2l.files import atomic_path
from g2l.records import EpochRecord
from g2l.training.device import random_states, set_random_states


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended, epochs before a resume included; the model holds the selected weights.

    Attributes:
        history: One record per epoch.
        steps: Optimiser steps completed.
        epochs: Epochs completed; a budget of steps may cut the last one short.
        best_epoch: Epoch whose weights are selected, from 1.
        metrics: Hold-out metrics of the selected weights; empty where none were measured.
        seconds: Wall-clock time of all epochs.
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

    def on_epoch_end(self, state: TrainingState, metrics: Mapping[str, float]) -> None:
        """Called after each epoch with its loss, learning rate and hold-out metrics, before it is saved."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs: plain values and tensors only."""
        ...

    def load_state_dict(self, saved: dict[str, Any], state: TrainingState) -> None:
        """Restore; called before the weights of model and optimizer are loaded, so it may reshape both."""


SCHEMA = "g2l.training/3"
_PLAIN = ("epoch", "step", "too_large", "losses", "best_epoch", "best_score", "best_weights")
"""Fields of the state that are saved as they are."""


def save_checkpoint(
    path: Path, identity: Mapping[str, Any], state: TrainingState, callbacks: Sequence[TrainingCallback]
) -> None:
    """Write the state between two steps to `path` atomically.

    `identity` holds the settings that a resumed training must share, as JSON values.
    """
    saved = {
        "schema": SCHEMA,
        "identity": dict(identity),
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "callbacks": [callback.state_dict() for callback in callbacks],
        "random": random_states(),
        "history": [asdict(record) for record in state.history],
        **{name: getattr(state, name) for name in _PLAIN},
    }
    content = BytesIO()  # the error that torch raises on a full disk does not mention the disk
    torch.save(saved, content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_checkpoint(
    path: Path,
    identity: Mapping[str, Any],
    state: TrainingState,
    callbacks: Sequence[TrainingCallback],
    last_step: int,
) -> None:
    """Bring `state`, the callbacks and the random generators to what `path` holds.

    Raises:
        InputError: The file is damaged, of a training with other settings (the first one is named), or
            beyond `last_step` already.
    """
    saved = _read(path)
    theirs = saved["identity"]
    for name in sorted(theirs.keys() | identity.keys()):
        if theirs.get(name) != identity.get(name):
            raise InputError(
                f"{path}: `{name}` must be {theirs.get(name)!r} as in the checkpoint, "
                f"but is {identity.get(name)!r} instead.",
                hint="resume with the settings of the interrupted training, or train without --resume.",
            )
    if saved["step"] > last_step:
        raise InputError(
            f"{path}: the training must end at step {saved['step']} or later, as far as the checkpoint is, "
            f"but ends at step {last_step} instead.",
            hint="raise the budget, or train without --resume.",
        )
    for torn in path.parent.glob(f".{path.name}.*.tmp"):
        torn.unlink(missing_ok=True)
    for name in _PLAIN:
        setattr(state, name, saved.get(name))
    state.history = [EpochRecord(**record) for record in saved["history"]]
    for callback, callback_state in zip(callbacks, saved["callbacks"], strict=True):
        callback.load_state_dict(callback_state, state)
    state.model.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    set_random_states(saved["random"])


def _read(path: Path) -> dict[str, Any]:
    try:
        with ZipFile(path) as archive:  # torch does not look at the checksums, and one wrong bit is a weight
            if (torn := archive.testzip()) is not None:
                raise BadZipFile(torn)
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch raise any of a dozen kinds
        raise InputError(
            f"{path}: cannot be read as a training checkpoint ({type(error).__name__}).",
            hint="the file is damaged: delete it and train again from the start.",
        ) from error
    if not isinstance(saved, dict) or saved.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: expected a training checkpoint of schema {SCHEMA}, but found something else.",
            hint="the file was not written by g2l, or by another version: train again from the start.",
        )
    return saved
