"""Writes a synthetic data set in the MS-TCN layout: all of it or nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from g2l.config import DataConfig
from g2l.datasets.labels import write_labels
from g2l.datasets.layout import DatasetFolder
from g2l.datasets.synthetic.content import SyntheticDataset
from g2l.errors import InputError, OperationalError
from g2l.files import ensure_folder, write_text


def write_dataset(root: Path, name: str, data: SyntheticDataset) -> Path:
    """Write a data set to `<root>/<name>` and return that folder.

    It is written into a hidden folder beside it and renamed at the end.

    Raises:
        InputError: The name is not a folder name, or there is something of that name already.
        OperationalError: Writing failed.
    """
    DataConfig(data_root=root, dataset=name).validate()
    path = root / name
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: already exists.", hint="choose another --dataset, or remove it first.")
    ensure_folder(root)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{name}.", suffix=".tmp", dir=root) as hidden:
            made = Path(hidden) / name
            _fill(DatasetFolder(made), data)
            made.rename(path)
    except OSError as error:
        raise OperationalError(f"{path}: cannot write ({error.strerror or error}).") from error
    return path


def _fill(folder: DatasetFolder, data: SyntheticDataset) -> None:
    write_text(folder.mapping, "".join(f"{index} {name}\n" for index, name in enumerate(data.class_names)))
    for split, sides in data.splits.items():
        for bundle, names in zip(folder.bundles(split), sides, strict=True):
            write_text(bundle, "".join(f"{name}.txt\n" for name in names))
    for video in data.videos:
        write_labels(folder.ground_truth(video.name), (data.class_names[label] for label in video.labels))
        features = folder.features(video.name)
        features.parent.mkdir(exist_ok=True)
        np.save(features, video.features, allow_pickle=False)
