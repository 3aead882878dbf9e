"""What a generator makes and the writer writes, and the names and splits that all generators share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from g2l.datasets.features import Features
from g2l.datasets.labels import Labels
from g2l.errors import InputError

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
    faults = [
        f"`{name}` must be >= {smallest}, but is {value} instead."
        for name, (value, smallest) in sizes.items()
        if value < smallest
    ]
    if faults:
        raise InputError(" ".join(faults))
