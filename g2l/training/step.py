"""One optimiser step, and the learning rate it is taken with."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from g2l.config import RecipeConfig
from g2l.datasets.batching import Batch
from g2l.errors import OperationalError
from g2l.training.callback import TrainingState
from g2l.training.device import autocast
from g2l.training.loss import LossCounts, segmentation_loss

_COMPILER = ("torch._dynamo", "torch._inductor")
"""Whose errors are those of `torch.compile`; importing their classes would take a second."""

_log = logging.getLogger("g2l")


def adam(model: nn.Module, recipe: RecipeConfig) -> torch.optim.Optimizer:
    """Return Adam over all parameters, as one kernel instead of some ten per parameter."""
    return torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, fused=True)


def set_learning_rate(state: TrainingState, recipe: RecipeConfig) -> float:
    """Set each group to its own rate, decayed once `decay_epoch` epochs are over; return that of the first.

    A function of the epoch alone, so that there is no scheduler to save.
    """
    decayed = recipe.decay_epoch is not None and state.epoch >= recipe.decay_epoch
    for group in state.optimizer.param_groups:
        first = group.setdefault("initial_lr", group["lr"])
        group["lr"] = first * (recipe.decay_factor if decayed else 1.0)
    return float(state.optimizer.param_groups[0]["lr"])


def train_step(state: TrainingState, batch: Batch, recipe: RecipeConfig, device: torch.device) -> float:
    """Take one optimiser step and return its loss.

    A batch that memory does not hold is taken in two halves whose gradients add up, as are all that are as
    large from then on.

    Raises:
        OperationalError: The loss is not finite or memory runs out; epoch, step and videos are named. Or the
            network cannot be compiled.
    """
    try:
        value = _find_gradient(state, batch, recipe, device)
    except torch.OutOfMemoryError as error:
        raise OperationalError(
            f"{_where(state, batch)}: {device} has too little memory for them, "
            f"padded to {batch.features.shape[-1]} frames.",
            hint="lower the batch size, or raise the sample rate.",
        ) from error
    except Exception as error:
        if not type(error).__module__.startswith(_COMPILER):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise OperationalError(
            f"torch.compile cannot compile {type(state.model).__name__}: {reason}",
            hint="train without --compile, or install what it asks for (on a CPU, a C++ compiler).",
        ) from error
    if not math.isfinite(value):
        raise _not_finite(state, batch, value)
    if recipe.gradient_clip is not None:
        nn.utils.clip_grad_norm_(state.model.parameters(), recipe.gradient_clip)
    state.optimizer.step()
    return value


def _find_gradient(state: TrainingState, batch: Batch, recipe: RecipeConfig, device: torch.device) -> float:
    """Leave the gradient of the loss of `batch` in the model and return the loss."""
    counts = LossCounts.of(batch.targets, batch.frame_mask)
    size = batch.targets.numel()
    if len(batch.names) == 1:
        return _accumulate(state, (batch,), counts, recipe, device)
    if state.too_large is None or size < state.too_large:
        try:
            return _accumulate(state, (batch,), counts, recipe, device)
        except torch.OutOfMemoryError:
            state.too_large = size
            _log.warning(
                "%s: %s has too little memory for all of them; batches of this size are halved from now on, "
                "their gradients added.",
                _where(state, batch),
                device,
            )
    return _accumulate(state, batch.halves(), counts, recipe, device)


def _accumulate(
    state: TrainingState,
    parts: Sequence[Batch],
    counts: LossCounts,
    recipe: RecipeConfig,
    device: torch.device,
) -> float:
    """Leave the gradient of the sum of the losses of `parts` in the model and return that sum."""
    state.optimizer.zero_grad(set_to_none=True)
    total = 0.0
    for part in parts:
        loss = _loss(state.model, part.to(device), recipe, counts)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def _loss(model: nn.Module, batch: Batch, recipe: RecipeConfig, counts: LossCounts) -> Tensor:
    with autocast(batch.features.device, recipe.mixed_precision):
        logits = model(batch.features, batch.frame_mask if batch.padded else None)
    return segmentation_loss(
        logits,
        batch.targets,
        batch.frame_mask,
        smoothing_weight=recipe.smoothing_weight,
        smoothing_clamp=recipe.smoothing_clamp,
        counts=counts,
    )


def _not_finite(state: TrainingState, batch: Batch, value: float) -> OperationalError:
    learning_rate = state.optimizer.param_groups[0]["lr"]
    return OperationalError(
        f"{_where(state, batch)}: the loss must be finite, but is {value} instead "
        f"at learning rate {learning_rate:g}.",
        hint="lower the learning rate, or clip the gradient.",
    )


def _where(state: TrainingState, batch: Batch) -> str:
    return f"epoch {state.epoch + 1}, step {state.step + 1}, videos {', '.join(batch.names)}"
