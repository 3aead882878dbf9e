"""What all stages record in the same way: the data they used, how far structures see, each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from g2l.datasets.dataset import Partitions, SegmentationDataset
from g2l.files import write_json
from g2l.pipeline.stage import DATA_FACTS, Stage
from g2l.records import EpochRecord
from g2l.structure import DilationStructure, LayerTopology
from g2l.tracking.protocol import Run


def describe_data(stage: Stage, dataset: SegmentationDataset, partitions: Partitions) -> None:
    """Record the content address of the data and the videos of every partition, and write `dataset.json`."""
    run = stage.run
    members = {"train": partitions.train, "holdout": partitions.holdout, "test": partitions.test}
    for context, names in members.items():
        if names:
            run.log_dataset(
                # One name each, for MLflow keeps one input per name and digest.
                name=f"{dataset.config.dataset} split {dataset.config.split} {context}",
                source=dataset.config.data_root / dataset.config.dataset,
                digest=dataset.fingerprint,
                context=context,
            )
    run.log_dict({name: list(videos) for name, videos in members.items()}, "partitions.json")
    run.set_tags({"g2l.data": dataset.fingerprint})
    write_json(stage.folder / DATA_FACTS, data_facts(dataset, partitions))
    run.log_artifact(stage.folder / DATA_FACTS)


def data_facts(dataset: SegmentationDataset, partitions: Partitions) -> dict[str, Any]:
    """Return what a data set holds and what was odd about it, as JSON values.

    Frames are those of the feature files, before `sample_rate`.
    """
    members = {"train": partitions.train, "holdout": partitions.holdout, "test": partitions.test}
    frames = {
        name: {video: len(dataset.ground_truth(video)) for video in videos}
        for name, videos in members.items()
    }
    count = len(dataset.mapping.names)
    counts = {name: np.zeros(count, dtype=np.int64) for name in members}
    for name, videos in members.items():
        for video in videos:
            labels = dataset.ground_truth(video)
            counts[name] += np.bincount(labels[labels >= 0], minlength=count)
    cut = dataset.holdout_notice if partitions.holdout else None
    notices = [*dataset.notices, *([] if cut is None else [cut])]
    return {
        "schema": "g2l.dataset/1",
        "name": dataset.config.dataset,
        "split": dataset.config.split,
        "fingerprint": dataset.fingerprint,
        "feature_dim": dataset.feature_dim,
        "sample_rate": dataset.config.sample_rate,
        "fps": dataset.config.fps,
        "background": [dataset.mapping.names[index] for index in dataset.background_indices],
        "frames": frames,
        "class_frames": {
            name: {partition: int(found[index]) for partition, found in counts.items()}
            for index, name in enumerate(dataset.mapping.names)
        },
        "notices": notices,
    }


def receptive_field_columns(
    structures: Sequence[DilationStructure], topology: LayerTopology
) -> dict[str, list[int]]:
    """Return columns of a table: receptive field and look-ahead in frames (`LayerTopology.report`)."""
    reports = [topology.report(structure) for structure in structures]
    return {name: [report[name] for report in reports] for name in (reports[0] if reports else ())}


class EpochLog:
    """Records loss, learning rate and hold-out metrics of every epoch."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, record: EpochRecord) -> None:
        """Record one epoch."""
        metrics = {"train/loss": record.loss, "train/learning_rate": record.learning_rate}
        metrics |= {f"holdout/{name}": value for name, value in record.metrics.items()}
        self._run.log_metrics(metrics, step=record.epoch)
