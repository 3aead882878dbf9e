"""The data sets of a command, each opened once, and `dataset.json`: what a stage was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from g2l.config import DataConfig, Selection
from g2l.datasets.dataset import Partitions, SegmentationDataset
from g2l.errors import InputError, listed
from g2l.records import DATASET, DatasetRecord


class DataSets:
    """Data sets by configuration, each opened, checked and standardised once. Not thread-safe."""

    def __init__(self) -> None:
        self._opened: dict[DataConfig, SegmentationDataset] = {}
        self._standardized: dict[tuple[DataConfig, Selection, int], SegmentationDataset] = {}

    def open(self, config: DataConfig) -> SegmentationDataset:
        """Return a data set as it is stored."""
        if config not in self._opened:
            dataset = SegmentationDataset.open(config)
            # Also under its resolved configuration, which stages record and hand on.
            self._opened |= {config: dataset, dataset.config: dataset}
        return self._opened[config]

    def standardized(
        self, config: DataConfig, selection: Selection, rotation: int = 0
    ) -> SegmentationDataset:
        """Return a data set with the statistics of the training partition that is cut."""
        dataset = self.open(config)
        key = dataset.config, selection, rotation
        if key not in self._standardized:
            train = dataset.partitions(selection, rotation).train
            self._standardized[key] = dataset.standardized_on(train)
        return self._standardized[key]


def describe_data(
    folder: Path, dataset: SegmentationDataset, partitions: Partitions, *, resume: bool
) -> None:
    """Write `dataset.json` of a stage or, on resume, compare it with the data as it is now.

    InputError if the stage was started with other data: the files that differ are named.
    """
    record = dataset_record(dataset, partitions)
    earlier = DatasetRecord.read(folder) if resume else None
    if earlier is None:
        record.write(folder)
        return
    before, now = earlier.files, record.files
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if changed:
        names = listed([name if name in now else f"{name} (gone)" for name in changed])
        raise InputError(
            f"{folder / DATASET}: files of the data set have changed since the run was started: {names}.",
            hint="restore the data, or start a new run in another --output-dir.",
        )


def dataset_record(dataset: SegmentationDataset, partitions: Partitions) -> DatasetRecord:
    """Return what a data set holds and what was odd about it.

    Frames are those of the feature files, before `sample_rate`.
    """
    members = {"train": partitions.train, "holdout": partitions.holdout, "test": partitions.test}
    labels = {
        name: {video: dataset.ground_truth(video) for video in videos} for name, videos in members.items()
    }
    count = len(dataset.mapping.names)
    counts = {
        name: sum((np.bincount(one[one >= 0], minlength=count) for one in of.values()), np.zeros(count, int))
        for name, of in labels.items()
    }
    root = dataset.config.data_root / dataset.config.dataset
    cut = dataset.holdout_notice if partitions.holdout else None
    return DatasetRecord(
        name=dataset.config.dataset,
        split=dataset.config.split if not dataset.config.common else dataset.config.fold_names,
        fingerprint=dataset.fingerprint,
        feature_dim=dataset.feature_dim,
        sample_rate=dataset.sample_rate,
        fps=dataset.fps,
        background=[dataset.mapping.names[index] for index in dataset.background_indices],
        frames={name: {video: len(one) for video, one in of.items()} for name, of in labels.items()},
        class_frames={
            name: {partition: int(found[index]) for partition, found in counts.items()}
            for index, name in enumerate(dataset.mapping.names)
        },
        notices=[*dataset.notices, *([] if cut is None else [cut])],
        source=str(root),
        files={str(path.relative_to(root)): found for path, found in dataset.files.items()},
    )
