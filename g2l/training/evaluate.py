"""Scoring a network video by video, at the frame rate of the ground truth, and describing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from g2l.config import BackboneConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.labels import count_transitions
from g2l.metrics.scores import SegmentationMetrics
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure


def evaluate_model(
    model: nn.Module, dataset: SegmentationDataset, names: Sequence[str], *, device: torch.device
) -> dict[str, float]:
    """Return the metrics of `model`, which is on `device`, over the videos `names`, in percent."""
    metrics = SegmentationMetrics(background=dataset.background_indices)
    for name in names:
        metrics.update(predict_labels(model, dataset, name, device), dataset.ground_truth(name))
    return metrics.compute()


def predict_labels(
    model: nn.Module, dataset: SegmentationDataset, name: str, device: torch.device
) -> NDArray[np.int64]:
    """Return the predicted class index of every frame, shape (T,), T as in the ground truth.

    Each prediction of a subsampled video is repeated `sample_rate` times and the end is cut.
    """
    labels = predict_logits(model, dataset, name, device)[-1, 0].argmax(dim=0).cpu().numpy()
    return np.repeat(labels, dataset.sample_rate)[: len(dataset.ground_truth(name))]


def predict_logits(model: nn.Module, dataset: SegmentationDataset, name: str, device: torch.device) -> Tensor:
    """Return the logits (S, 1, C, T') of one video, computed in evaluation mode."""
    features = torch.from_numpy(dataset.load(name).features).unsqueeze(0)  # (D, T') -> (1, D, T')
    with evaluating(model), torch.inference_mode():
        logits: Tensor = model(features.to(device))
    return logits


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Let `model` be in evaluation mode inside a `with`."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def model_metadata(
    dataset: SegmentationDataset,
    *,
    backbone: BackboneConfig,
    structure: DilationStructure,
    selection: Selection,
    seed: int,
    metrics: Mapping[str, float],
    run_id: str | None = None,
    layers: Mapping[str, Any] | None = None,
) -> ModelMetadata:
    """Return the metadata of a model trained on `dataset`, standardised where `normalize` says so.

    `selection` tells which videos it was trained on; the others are fields of `ModelMetadata`.
    """
    config, statistics = dataset.config, dataset.statistics
    trained_on = (
        dataset.ground_truth(name)[:: dataset.sample_rate] for name in dataset.partitions(selection).train
    )
    return ModelMetadata(
        structure=structure,
        backbone=backbone,
        classes=dataset.mapping.names,
        background=dataset.background,
        feature_dim=dataset.feature_dim,
        sample_rate=dataset.sample_rate,
        normalize=dataset.normalize,
        mean=None if statistics is None else tuple(map(float, statistics.mean)),
        std=None if statistics is None else tuple(map(float, statistics.std)),
        fps=dataset.fps,
        seed=seed,
        metrics=metrics,
        run_id=run_id,
        layers=layers or {},
        dataset={
            "name": config.dataset,
            "split": config.common or config.split,
            "fingerprint": dataset.fingerprint,
        },
        transitions=count_transitions(trained_on, len(dataset.mapping.names)),
    )
