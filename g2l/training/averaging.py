"""Averaged weights: less noisy than the last ones, so a short training says more about its structure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from g2l.errors import InputError
from g2l.training.callback import TrainingState


class AveragedWeights:
    """A training callback that keeps an exponential moving average of all parameters.

    After n steps the decay is min(decay, (1 + n) / (10 + n)), so that the average of a short training is not
    that of its initialisation. The training itself is not changed.

    Args:
        decay: Weight of the past in [0, 1).

    Raises:
        InputError: `decay` is out of range.
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"`averaging` must be in [0, 1), but is {decay} instead.")
        self.decay = decay
        self.averages: list[Tensor] = []

    def on_step_end(self, state: TrainingState) -> None:
        """Move the averages towards the present weights; the first step sets them."""
        weights = [weight.detach() for weight in state.model.parameters()]
        if not self.averages:
            self.averages = [weight.clone() for weight in weights]
            return
        decay = min(self.decay, (1 + state.step) / (10 + state.step))
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(self.averages, weights, state.step)

    def on_epoch_end(self, state: TrainingState, metrics: Mapping[str, float]) -> None:
        """Epochs do not matter."""

    def state_dict(self) -> dict[str, Any]:
        """Return the averages."""
        return {"averages": self.averages}

    def load_state_dict(self, saved: dict[str, Any], state: TrainingState) -> None:
        """Restore the averages, on the device of the model."""
        device = next(state.model.parameters()).device
        self.averages = [average.to(device) for average in saved["averages"]]

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Let `model` have the averaged weights inside a `with`; nothing is copied or rounded."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    @torch.no_grad()
    def _swap(self, model: nn.Module) -> None:
        for number, weight in enumerate(model.parameters()):
            if self.averages:
                weight.data, self.averages[number] = self.averages[number], weight.data
