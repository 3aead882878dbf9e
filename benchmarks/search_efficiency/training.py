"""One training, scored again and again on its way: by its own weights, and by averages of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.search_efficiency.problems import Problem, open_data
from g2l.datasets.batching import Batch, BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.metrics.accumulator import SegmentationMetrics
from g2l.metrics.scores import metric_value
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure
from g2l.training.device import one_thread, seed_everything
from g2l.training.loop import adam, train_step
from g2l.training.state import TrainingState

SIGNALS = ("f1", "edit", "accuracy", "likelihood")
RAW = "raw"
DECAYS = (0.8, 0.9, 0.95, 0.98)
"""Of the averaged weights; the average reaches back over about 1 / (1 − decay) steps."""
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Score:
    """The scores of one set of weights.

    Attributes:
        step: Optimiser steps completed.
        weights: `raw`, or the decay of an average.
        part: `holdout` or `test`.
        values: One number per name in `SIGNALS`, in percent.
    """

    step: int
    weights: str
    part: str
    values: dict[str, float]


def trajectory(
    problem: Problem,
    structure: DilationStructure,
    seed: int,
    *,
    ladder: Sequence[int],
    decays: Sequence[float],
) -> Iterator[Score]:
    """Train once and yield the hold-out scores of every step in `ladder`, and at the end those on test.

    Args:
        problem: Data, network and recipe.
        structure: Its rates.
        seed: Of initialisation, order of batches and dropout.
        ladder: Steps to score after, ascending; the training ends with the last one.
        decays: Of the averaged weights that are scored too.
    """
    with one_thread():
        dataset, partitions = open_data(problem)
        seed_everything(seed)
        model = build_backbone(
            problem.backbone,
            structure,
            feature_dim=dataset.feature_dim,
            num_classes=len(dataset.mapping.names),
        )
        seed_everything(seed)
        averages = {decay: _average(model, decay) for decay in decays}
        networks = {RAW: model} | {str(decay): average.module for decay, average in averages.items()}
        state = TrainingState(model, adam(model, problem.recipe))
        source = BatchSource(dataset, partitions.train, batch_size=problem.recipe.batch_size, seed=seed)
        model.train()
        for batch in _batches(source):
            train_step(state, batch, problem.recipe, _CPU)
            state.step += 1
            for average in averages.values():
                average.update_parameters(model)
            if state.step in ladder:
                for weights, network in networks.items():
                    yield Score(
                        state.step, weights, "holdout", evaluate(network, dataset, partitions.holdout)
                    )
            if state.step >= ladder[-1]:
                break
        for weights, network in networks.items():
            yield Score(state.step, weights, "test", evaluate(network, dataset, partitions.test))


def evaluate(model: nn.Module, dataset: SegmentationDataset, names: Sequence[str]) -> dict[str, float]:
    """Return the values of `SIGNALS` over some videos."""
    metrics = SegmentationMetrics(background=dataset.background_indices)
    surprise, frames, rate = 0.0, 0, dataset.config.sample_rate
    was_training = model.training
    model.eval()
    for name in names:
        video, truth = dataset.load(name), dataset.ground_truth(name)
        with torch.inference_mode():
            logits = model(torch.from_numpy(video.features).unsqueeze(0))[-1]  # (1, C, T')
            targets = torch.from_numpy(video.targets).unsqueeze(0)
            surprise += functional.cross_entropy(logits, targets, reduction="sum").item()
        frames += len(video.targets)
        labels = logits[0].argmax(dim=0).numpy()
        metrics.update(np.repeat(labels, rate)[: len(truth)], truth)
    model.train(was_training)
    values = {name: metric_value(metrics.compute(), name) for name in SIGNALS if name != "likelihood"}
    return values | {"likelihood": 100 * math.exp(-surprise / frames)}


def _average(model: nn.Module, decay: float) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]


def _batches(source: BatchSource) -> Iterator[Batch]:
    for epoch in count():
        yield from source.epoch(epoch)
