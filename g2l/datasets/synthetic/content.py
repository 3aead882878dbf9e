"""What generators make and how it is written; names, splits and noise that all generators share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.datasets.facts import write_dataset_facts
from g2l.datasets.features import Features
from g2l.datasets.labels import Labels, write_labels
from g2l.datasets.writing import new_dataset, write_index
from g2l.errors import InputError

Signal = npt.NDArray[np.float64]

SUBJECTS = 6
FOLDS = 3
"""A split tests every third subject; two splits are made."""
MIN_VIDEOS = FOLDS


@dataclass(frozen=True)
class SyntheticVideo:
    """One video; features (D, T), labels (T,)."""

    name: str
    features: Features
    labels: Labels


@dataclass(frozen=True)
class SyntheticDataset:
    """A whole data set in memory.

    Attributes:
        class_names: In index order, length C.
        videos: In the order of their names.
        splits: Train and test names of each split.
    """

    class_names: tuple[str, ...]
    videos: tuple[SyntheticVideo, ...]
    splits: dict[int, tuple[tuple[str, ...], tuple[str, ...]]]


def video_names(scene: str, count: int) -> tuple[str, ...]:
    """Return names such as `S1_Kitchen_V1`, whose first part is the subject as in GTEA's names."""
    names = [(number % SUBJECTS + 1, number // SUBJECTS + 1) for number in range(count)]
    return tuple(f"S{subject}_{scene}_V{take}" for subject, take in sorted(names))


def subject_splits(names: Sequence[str]) -> dict[int, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return two splits; no subject is on both sides of either, or tested in both."""
    splits = {}
    for split in (1, 2):
        tested = {f"S{subject}" for subject in range(split, SUBJECTS + 1, FOLDS)}
        test = tuple(name for name in names if name.partition("_")[0] in tested)
        splits[split] = (tuple(name for name in names if name not in test), test)
    return splits


def check_sizes(**sizes: tuple[int, int]) -> None:
    """Check the sizes a user asked for.

    Args:
        sizes: Value and smallest allowed value of each.

    Raises:
        InputError: One is too small; all that are too small are named.
    """
    issues = [
        f"`{name}` must be >= {smallest}, but is {value} instead."
        for name, (value, smallest) in sizes.items()
        if value < smallest
    ]
    if issues:
        raise InputError(" ".join(issues))


def write_dataset(
    root: Path, name: str, data: SyntheticDataset, source: Mapping[str, Any] | None = None
) -> Path:
    """Write a data set to `<root>/<name>` and return that folder.

    It is written into a hidden folder beside it and renamed at the end.

    Args:
        root: Folder that holds data sets.
        name: Of the data set.
        data: What to write.
        source: How it was made, to be kept in `dataset.json`.

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
        write_dataset_facts(folder.path, {"source": source})
    return root / name


def autoregressive_noise(
    generator: np.random.Generator, rows: int, frames: int, correlation: float
) -> Signal:
    """Return AR(1) noise of unit variance from the first frame on, (rows, frames).

    Args:
        generator: Source of randomness.
        rows: Independent signals.
        frames: Length.
        correlation: Of neighbouring frames, in [0, 1).
    """
    noise = generator.standard_normal((rows, frames))
    noise[:, 1:] *= np.sqrt(1 - correlation**2)
    for frame in range(1, frames):
        noise[:, frame] += correlation * noise[:, frame - 1]
    return noise


def smooth_noise(generator: np.random.Generator, rows: int, frames: int, width: float) -> Signal:
    """Return white noise smoothed by a Gaussian, rescaled to unit variance, (rows, frames).

    Args:
        generator: Source of randomness.
        rows: Independent signals.
        frames: Length.
        width: Standard deviation of the Gaussian in frames; the autocorrelation is exp(−τ² / 4·width²).
    """
    reach = int(np.ceil(4 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    kernel /= np.sqrt(np.sum(kernel**2))
    white = generator.standard_normal((rows, frames + 2 * reach))
    return np.stack([np.convolve(row, kernel, mode="valid") for row in white])
