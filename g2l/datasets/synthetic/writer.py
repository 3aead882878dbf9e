"""Writes a synthetic data set in the MS-TCN layout: all of it or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from g2l.datasets.labels import write_labels
from g2l.datasets.new_dataset import new_dataset, write_index
from g2l.datasets.synthetic.content import SyntheticDataset


def write_dataset(root: Path, name: str, data: SyntheticDataset) -> Path:
    """Write a data set to `<root>/<name>` and return that folder.

    It is written into a hidden folder beside it and renamed at the end.

    Raises:
        InputError: The name is not a folder name, or there is something of that name already.
        OperationalError: Writing failed.
    """
    with new_dataset(root, name) as folder:
        write_index(folder, data.class_names, data.splits)
        for video in data.videos:
            labels = (data.class_names[label] for label in video.labels)
            write_labels(folder.ground_truth(video.name), labels)
            np.save(folder.features(video.name), video.features, allow_pickle=False)
    return root / name
