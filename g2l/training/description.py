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
