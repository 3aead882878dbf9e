"""The training loop, top to bottom: `fit`, the epochs, the steps, one step."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from g2l.config import Budget, ClassWeights, RecipeConfig, Selection
from g2l.datasets.batching import IGNORE_INDEX, Batch, BatchSource, prefetched
from g2l.errors import OperationalError
from g2l.files import fingerprint
from g2l.metrics.scores import metric_value
from g2l.progress import NullProgress, Progress, Task
from g2l.records import EpochRecord
from g2l.training.device import autocast, seed_everything
from g2l.training.loss import LossCounts, class_weights, segmentation_loss
from g2l.training.state import (
    TrainingCallback,
    TrainingResult,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
)

_NO_PROGRESS = NullProgress()
_COMPILER = ("torch._dynamo", "torch._inductor")
"""Modules of the errors of `torch.compile`; importing their classes would take a second."""

_log = logging.getLogger("g2l")


def fit(
    model: nn.Module,
    source: BatchSource,
    recipe: RecipeConfig,
    *,
    seed: int,
    device: torch.device,
    budget: Budget | None = None,
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    callbacks: Sequence[TrainingCallback] = (),
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress = _NO_PROGRESS,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> TrainingResult:
    """Train `model` in place and leave the selected weights in it.

    With `Selection.BEST` and a budget of epochs the hold-out is scored after every epoch and the weights of
    the best epoch are kept, the earlier one of equals. Otherwise it is scored once, at the end, and the last
    weights are kept. Everything but `seconds` is a function of the arguments: bit for bit on one machine.

    Args:
        model: Network with logits (S, B, C, T), already initialised; moved to `device`.
        source: Batches; epoch n is a pure function of n.
        recipe: Settings.
        seed: Seed of dropout; restarts the global generators of torch, numpy and Python.
        device: Where to train.
        budget: When to stop; None means `recipe.epochs`. Steps may end in the middle of an epoch, and a
            larger budget of steps continues the checkpoint of a smaller one.
        evaluate: Scores the model on the hold-out, or None where there is none.
        optimizer: Used instead of Adam over all parameters.
        callbacks: Called in this order; they may change model and optimizer, but then `Selection.LAST` is
            needed unless weights of different epochs have the same shapes.
        checkpoint: The `last.ckpt`, written after every epoch, or None.
        resume: Continue `checkpoint` if it exists.
        progress: Draws one bar of steps.
        on_epoch: Receives each record before it is saved, so that a kill may repeat one but loses none.
    """
    budget = budget or Budget(recipe.epochs)
    last_step = budget.amount if budget.unit == "steps" else budget.amount * len(source)
    training = Training(
        model, source, recipe, seed=seed, device=device, optimizer=optimizer, callbacks=callbacks
    )
    state, identity = training.state, training.identity(budget)
    if resume and checkpoint is not None and checkpoint.exists():
        training.load(checkpoint, identity, last_step)
    selects = recipe.selection is Selection.BEST and budget.unit == "epochs"

    def score() -> Mapping[str, float]:
        if evaluate is None or not (selects or state.step == last_step):
            return {}
        metrics = {name: float(value) for name, value in evaluate(model).items()}
        if selects:
            state.offer(metric_value(metrics, recipe.monitor))
        return metrics

    def keep(record: EpochRecord) -> None:
        if on_epoch is not None:
            on_epoch(record)
        if checkpoint is not None:
            training.save(checkpoint, identity)

    with progress.task("training", last_step) as bar:
        bar.advance(state.step)
        training.advance(last_step, score=score, on_record=keep, bar=bar)
    if not state.history[-1].metrics:  # another budget ended elsewhere, and scored there
        state.history[-1] = replace(state.history[-1], metrics=dict(score()))
    return state.result()


class Training:
    """A training that can be saved and continued between any two steps.

    Batches and learning rate of a step are functions of its number, so a training that stops after any step,
    also in the middle of an epoch, continues with the bits of one that never stopped. Arguments are those of
    `fit`.
    """

    def __init__(
        self,
        model: nn.Module,
        source: BatchSource,
        recipe: RecipeConfig,
        *,
        seed: int,
        device: torch.device,
        optimizer: torch.optim.Optimizer | None = None,
        callbacks: Sequence[TrainingCallback] = (),
    ) -> None:
        seed_everything(seed)
        model.to(device)
        if recipe.compile:
            torch.use_deterministic_algorithms(True, warn_only=True)  # the compiler reads it, too
            model.compile(dynamic=True)  # in place: names of weights, checkpoints and exports stay
        self.state = TrainingState(model, optimizer or adam(model, recipe))
        if recipe.class_weights is not ClassWeights.NONE:
            targets = [torch.as_tensor(source.dataset.load(name).targets) for name in source.names]
            frames = torch.cat(targets)
            counts = torch.bincount(frames[frames != IGNORE_INDEX])
            self.state.class_weights = class_weights(counts, recipe.class_weights).to(device)
        self.source, self.recipe, self.seed = source, recipe, seed
        self.device, self.callbacks = device, callbacks

    def advance(
        self,
        last_step: int,
        *,
        score: Callable[[], Mapping[str, float]] | None = None,
        on_record: Callable[[EpochRecord], None] | None = None,
        bar: Task | None = None,
    ) -> None:
        """Train until `last_step` steps are completed, counted from the start.

        It may lie in the middle of an epoch. `score` returns metrics of the model after each epoch;
        `on_record` receives the record of each epoch, or of its part up to `last_step`.
        """
        state = self.state
        while state.step < last_step:
            started = time.perf_counter()
            state.epoch, position = divmod(state.step, len(self.source))
            learning_rate = set_learning_rate(state, self.recipe)
            if position == 0:
                state.losses.clear()
            state.model.train()
            for batch in self._batches(position, position + last_step - state.step):
                loss = train_step(state, batch, self.recipe, self.device)
                del batch  # before the next one is made: it may be the largest object in memory
                state.losses.append(loss)
                state.step += 1
                for callback in self.callbacks:
                    callback.on_step_end(state)
                if bar is not None:
                    bar.advance(note=f"loss {loss:.3f}")
            state.epoch += 1
            loss = math.fsum(state.losses) / len(state.losses)
            metrics = {} if score is None else dict(score())
            for callback in self.callbacks:
                callback.on_epoch_end(state, {"loss": loss, "learning_rate": learning_rate, **metrics})
            seconds = time.perf_counter() - started
            record = EpochRecord(state.epoch, state.step, loss, learning_rate, metrics, seconds)
            record = state.add(record)
            if on_record is not None:
                on_record(record)

    def identity(self, budget: Budget) -> dict[str, Any]:
        """Return the settings that a checkpoint must share with the training that resumes from it."""
        model, optimizer, names = self.state.model, self.state.optimizer, list(self.source.names)
        shapes = [(name, tuple(weight.shape)) for name, weight in model.state_dict().items()]
        groups = [(group["lr"], len(group["params"])) for group in optimizer.param_groups]
        return {
            **self.recipe.as_dict(),
            # Epochs are scored one by one, or once at the last; steps only at the end, wherever that is.
            "budget": str(budget) if budget.unit == "epochs" else "steps",
            "seed": self.seed,
            "training videos": f"{len(names)} {fingerprint(names)}",
            # Its text shows the dilation rates, which the shapes do not.
            "model": f"{type(model).__name__} {fingerprint([repr(model), shapes])}",
            "optimizer": f"{type(optimizer).__name__} {groups}",
            "callbacks": ", ".join(type(callback).__name__ for callback in self.callbacks),
        }

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Write everything to `path` atomically (see `save_checkpoint`)."""
        save_checkpoint(path, identity, self.state, self.callbacks)

    def load(self, path: Path, identity: Mapping[str, Any], last_step: int) -> None:
        """Continue from where `path` was saved (see `load_checkpoint`)."""
        load_checkpoint(path, identity, self.state, self.callbacks, last_step)

    def _batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield these batches of the present epoch; on a GPU they are made while it takes a step.

        On a CPU a second thread would slow the step as much as it saves (`benchmarks/prefetch.py`).
        """
        batches = self.source.epoch(self.state.epoch, start, stop)
        return prefetched(map(Batch.pinned, batches)) if self.device.type == "cuda" else batches


def adam(model: nn.Module, recipe: RecipeConfig) -> torch.optim.Optimizer:
    """Return Adam over all parameters, as one kernel."""
    return torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, fused=True)


def set_learning_rate(state: TrainingState, recipe: RecipeConfig) -> float:
    """Set each group's rate, a function of the epoch alone; return that of the first."""
    decayed = recipe.decay_epoch is not None and state.epoch >= recipe.decay_epoch
    for group in state.optimizer.param_groups:
        first = group.setdefault("initial_lr", group["lr"])
        group["lr"] = first * (recipe.decay_factor if decayed else 1.0)
    return float(state.optimizer.param_groups[0]["lr"])


def train_step(state: TrainingState, batch: Batch, recipe: RecipeConfig, device: torch.device) -> float:
    """Take one optimiser step and return its loss."""
    try:
        loss = _gradient(state, batch, recipe, device)
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
            hint="train without --compile, or install what it needs (on a CPU, a C++ compiler).",
        ) from error
    if not math.isfinite(loss):
        raise OperationalError(
            f"{_where(state, batch)}: the loss must be finite, but is {loss} instead at learning rate "
            f"{state.optimizer.param_groups[0]['lr']:g}.",
            hint="lower the learning rate, or clip the gradient.",
        )
    if recipe.gradient_clip is not None:
        nn.utils.clip_grad_norm_(state.model.parameters(), recipe.gradient_clip)
    state.optimizer.step()
    return loss


def _gradient(state: TrainingState, batch: Batch, recipe: RecipeConfig, device: torch.device) -> float:
    """Leave the gradient of the loss of `batch` in the model and return the loss.

    A batch that does not fit the memory is computed in two halves whose gradients add up, and so are all
    batches of that size from then on.
    """
    counts = LossCounts.of(batch.targets, batch.frame_mask)
    size, divisible = batch.targets.numel(), len(batch.names) > 1
    if not divisible or state.too_large is None or size < state.too_large:
        try:
            return _accumulate(state, (batch,), counts, recipe, device)
        except torch.OutOfMemoryError:
            if not divisible:
                raise
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
    for batch in parts:
        part = batch.to(device)
        with autocast(device, recipe.mixed_precision):
            logits = state.model(part.features, part.frame_mask if part.padded else None)
        loss = segmentation_loss(
            logits,
            part.targets,
            part.frame_mask,
            smoothing_weight=recipe.smoothing_weight,
            smoothing_clamp=recipe.smoothing_clamp,
            counts=counts,
            weights=state.class_weights,
        )
        del logits
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


def _where(state: TrainingState, batch: Batch) -> str:
    return f"epoch {state.epoch + 1}, step {state.step + 1}, videos {', '.join(batch.names)}"
