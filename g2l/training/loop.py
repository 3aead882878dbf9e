"""The training loop: reads top to bottom, resumes bit for bit, and knows nothing of searches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from g2l.config import RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.evaluation import Budget
from g2l.metrics.fitness import metric_value
from g2l.progress import NullProgress, Progress, Task
from g2l.training.callback import TrainingCallback, TrainingState
from g2l.training.checkpoint import load_checkpoint, save_checkpoint, training_identity
from g2l.training.device import seed_everything
from g2l.training.history import EpochRecord, ResultSoFar, TrainingResult
from g2l.training.step import adam, set_learning_rate, train_step

_NO_PROGRESS = NullProgress()


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
        budget: When to stop; None means `recipe.epochs`. Steps may end in the middle of an epoch.
        evaluate: Scores the model on the hold-out, or None where there is none.
        optimizer: To be used instead of Adam over all parameters.
        callbacks: Called in this order; they may change model and optimizer, but then `Selection.LAST` is
            needed unless weights of different epochs have the same shapes.
        checkpoint: The `last.ckpt`, written after every epoch, or None.
        resume: Go on from `checkpoint` if it is there.
        progress: Draws one bar of steps.
        on_epoch: Told each record before it is saved, so that a kill may repeat one but loses none.

    Raises:
        InputError: `checkpoint` is damaged, or of a training with other settings.
        OperationalError: The loss is not finite, memory runs out, or the checkpoint cannot be written.
    """
    budget = budget or Budget(recipe.epochs)
    last_step = budget.amount if budget.unit == "steps" else budget.amount * len(source)
    seed_everything(seed)
    model.to(device)
    state = TrainingState(model, optimizer or adam(model, recipe))
    identity = training_identity(state, recipe, budget, seed, source.names, callbacks)
    so_far = ResultSoFar()
    if resume and checkpoint is not None and checkpoint.exists():
        so_far = load_checkpoint(checkpoint, identity, state, callbacks)
    selects = recipe.selection is Selection.BEST and budget.unit == "epochs"

    with progress.task("training", last_step) as task:
        task.advance(state.step)
        while state.step < last_step:
            started = time.perf_counter()
            learning_rate = set_learning_rate(state, recipe)
            loss = _train_epoch(state, source, recipe, last_step, device, callbacks, task)
            metrics: dict[str, float] = {}
            if evaluate is not None and (selects or state.step == last_step):
                metrics = {name: float(value) for name, value in evaluate(model).items()}
            if selects and metrics:
                so_far.offer(model, state.epoch, metric_value(metrics, recipe.monitor))
            for callback in callbacks:
                callback.on_epoch_end(state, {"loss": loss, "learning_rate": learning_rate, **metrics})
            seconds = time.perf_counter() - started
            record = EpochRecord(state.epoch, state.step, loss, learning_rate, metrics, seconds)
            so_far.history.append(record)
            if on_epoch is not None:
                on_epoch(record)
            if checkpoint is not None:
                save_checkpoint(checkpoint, identity, state, so_far, callbacks)

    return so_far.result(model, state)


def _train_epoch(
    state: TrainingState,
    source: BatchSource,
    recipe: RecipeConfig,
    last_step: int,
    device: torch.device,
    callbacks: Sequence[TrainingCallback],
    task: Task,
) -> float:
    """Take the steps of one epoch, or those up to `last_step`; return their mean loss."""
    losses = []
    state.model.train()
    for batch in islice(source.epoch(state.epoch), last_step - state.step):
        losses.append(train_step(state, batch, recipe, device))
        state.step += 1
        for callback in callbacks:
            callback.on_step_end(state)
        task.advance(note=f"loss {losses[-1]:.3f}")
    state.epoch += 1
    return math.fsum(losses) / len(losses)
