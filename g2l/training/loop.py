"""The training loop: reads top to bottom, resumes bit for bit, and knows nothing of searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from g2l.config import RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.evaluation import Budget
from g2l.metrics.scores import metric_value
from g2l.progress import NullProgress, Progress
from g2l.records import EpochRecord
from g2l.training.callback import TrainingCallback
from g2l.training.checkpoint import training_identity
from g2l.training.history import TrainingResult
from g2l.training.run import Training

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
        budget: When to stop; None means `recipe.epochs`. Steps may end in the middle of an epoch, and a
            larger budget of steps goes on from the checkpoint of a smaller one.
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
    training = Training(
        model, source, recipe, seed=seed, device=device, optimizer=optimizer, callbacks=callbacks
    )
    identity = training_identity(training.state, recipe, budget, seed, source.names, callbacks)
    if resume and checkpoint is not None and checkpoint.exists():
        training.load(checkpoint, identity, last_step)
    selects = recipe.selection is Selection.BEST and budget.unit == "epochs"

    def score() -> Mapping[str, float]:
        if evaluate is None or not (selects or training.state.step == last_step):
            return {}
        metrics = {name: float(value) for name, value in evaluate(model).items()}
        if selects:
            training.so_far.offer(model, training.state.epoch, metric_value(metrics, recipe.monitor))
        return metrics

    def keep(record: EpochRecord) -> None:
        if on_epoch is not None:
            on_epoch(record)
        if checkpoint is not None:
            training.save(checkpoint, identity)

    with progress.task("training", last_step) as task:
        task.advance(training.state.step)
        training.advance(last_step, score=score, on_record=keep, task=task)
    if not training.so_far.history[-1].metrics:  # another budget ended elsewhere, and scored there
        training.score(score())
    return training.so_far.result(model, training.state)
