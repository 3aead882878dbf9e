"""A training under way: takes steps, and can be saved and continued between any two of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from g2l.config import RecipeConfig
from g2l.datasets.batching import Batch, BatchSource, prefetched
from g2l.progress import Task
from g2l.records import EpochRecord
from g2l.training.callback import TrainingCallback, TrainingState
from g2l.training.checkpoint import load_checkpoint, save_checkpoint
from g2l.training.device import seed_everything
from g2l.training.history import ResultSoFar
from g2l.training.step import adam, set_learning_rate, train_step


class Training:
    """The live objects of one training.

    Batches and learning rate of a step are functions of its number, so a training that stops after any step,
    also in the middle of an epoch, goes on with the bits of one that never stopped.

    Args:
        model: Network with logits (S, B, C, T), already initialised; moved to `device`.
        source: Batches; epoch n is a pure function of n.
        recipe: Settings.
        seed: Seed of dropout; restarts the global generators of torch, numpy and Python.
        device: Where to train.
        optimizer: To be used instead of Adam over all parameters.
        callbacks: Called in this order after each step and epoch.
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
            torch.use_deterministic_algorithms(True, warn_only=True)  # tells the compiler, too
            model.compile(dynamic=True)  # in place: names of weights, checkpoints and exports stay
        self.state = TrainingState(model, optimizer or adam(model, recipe))
        self.so_far = ResultSoFar()
        self.source = source
        self.recipe = recipe
        self.seed = seed
        self.device = device
        self.callbacks = callbacks

    def advance(
        self,
        last_step: int,
        *,
        before_step: Callable[[int], None] | None = None,
        score: Callable[[], Mapping[str, float]] | None = None,
        on_record: Callable[[EpochRecord], None] | None = None,
        task: Task | None = None,
    ) -> None:
        """Train until `last_step` steps are completed, counted from the start.

        Args:
            last_step: May lie in the middle of an epoch, or be reached already.
            before_step: Called with the number of steps completed before each of them.
            score: Returns metrics of the model after each epoch.
            on_record: Told the record of each epoch, or of its part up to `last_step`.
            task: Told each step, if given.
        """
        state = self.state
        while state.step < last_step:
            started = time.perf_counter()
            state.epoch, position = divmod(state.step, len(self.source))
            learning_rate = set_learning_rate(state, self.recipe)
            if position == 0:
                self.so_far.losses.clear()
            self._take_steps(position, last_step, before_step, task)
            state.epoch += 1
            loss = math.fsum(self.so_far.losses) / len(self.so_far.losses)
            metrics = {} if score is None else dict(score())
            for callback in self.callbacks:
                callback.on_epoch_end(state, {"loss": loss, "learning_rate": learning_rate, **metrics})
            seconds = time.perf_counter() - started
            record = EpochRecord(state.epoch, state.step, loss, learning_rate, metrics, seconds)
            record = self.so_far.add(record)
            if on_record is not None:
                on_record(record)

    def score(self, metrics: Mapping[str, float]) -> None:
        """Note `metrics` as those of the last weights."""
        self.so_far.history[-1] = replace(self.so_far.history[-1], metrics=dict(metrics))

    def save(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Write everything to `path` atomically (see `save_checkpoint`)."""
        save_checkpoint(path, identity, self.state, self.so_far, self.callbacks)

    def load(self, path: Path, identity: Mapping[str, Any], last_step: int) -> None:
        """Go on from where `path` was saved (see `load_checkpoint`)."""
        self.so_far = load_checkpoint(path, identity, self.state, self.callbacks, last_step)

    def _take_steps(
        self, position: int, last_step: int, before_step: Callable[[int], None] | None, task: Task | None
    ) -> None:
        """Take the steps of the present epoch from `position` on, up to its end or to `last_step`."""
        state = self.state
        state.model.train()
        for batch in self._batches(position, position + last_step - state.step):
            if before_step is not None:
                before_step(state.step)
            loss = train_step(state, batch, self.recipe, self.device)
            del batch  # before the one after the next is made: it may be the largest thing in memory
            self.so_far.losses.append(loss)
            state.step += 1
            for callback in self.callbacks:
                callback.on_step_end(state)
            if task is not None:
                task.advance(note=f"loss {loss:.3f}")

    def _batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield these batches of the present epoch; a GPU's are made while it takes a step.

        On a CPU the thread that makes them takes from the step what it saves (`benchmarks/prefetch.py`).
        """
        batches = self.source.epoch(self.state.epoch, start, stop)
        return prefetched(map(Batch.pinned, batches)) if self.device.type == "cuda" else batches
