"""Metadata of a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from g2l.config import BackboneConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.labels import count_transitions
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure


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
    """Return the metadata of a model trained on `dataset`.

    Args:
        dataset: Its training data, standardised on the training partition where `normalize` says so.
        backbone: Size of the network.
        structure: Its rates.
        selection: Which videos it was trained on.
        seed: Seed of the training.
        metrics: Metrics with the partition in each key (`holdout/edit`).
        run_id: MLflow run that made it, or None.
        layers: What `g2l.receptive_field.describe` says of a model with branches or dense kernels, or None.
    """
    config = dataset.config
    mean = std = None
    if dataset.statistics is not None:
        mean, std = (tuple(map(float, row)) for row in (dataset.statistics.mean, dataset.statistics.std))
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
        mean=mean,
        std=std,
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
