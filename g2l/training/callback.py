"""How something takes part in a training without the training knowing it (the local search does)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn


@dataclass
class TrainingState:
    """The live objects of a training; callbacks may change the model and the optimizer in place.

    Attributes:
        model: The network being trained.
        optimizer: Its optimizer.
        epoch: Epochs completed.
        step: Optimiser steps completed.
        too_large: Videos times frames of the smallest batch that memory did not hold, or None.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    step: int = 0
    too_large: int | None = None


class TrainingCallback(Protocol):
    """Called after every step and every epoch; its state travels in `last.ckpt`."""

    def on_step_end(self, state: TrainingState) -> None:
        """Called after each optimiser step, `state.step` being the number of steps completed."""
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
