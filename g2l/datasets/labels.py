"""Ground truth: one class name a line, one line a frame; and how often one class follows another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from g2l.datasets.errors import DataError
from g2l.datasets.layout import ClassMapping
from g2l.datasets.reading import normal, numbered, read_lines
from g2l.errors import brief, did_you_mean
from g2l.files import write_text

Labels = npt.NDArray[np.int64]
"""Class indices, shape (T,)."""
Transitions = tuple[tuple[int, int, int], ...]
"""(class index, index of the class one frame later, how often) of each pair that occurs, ascending."""


def parse_labels(path: Path, mapping: ClassMapping, issues: list[DataError]) -> Labels:
    """Return the class index of every frame, shape (T,), adding what is wrong to `issues`.

    A class that is not in the mapping is reported once a file and stands as -1. DataError if unreadable.
    """
    lines = read_lines(path)
    index = mapping.index
    try:
        values = [index[line] for line in lines]
    except KeyError:
        # Rare, so that well-formed files of 20,000 lines take one dictionary look-up a line.
        values = _careful(lines, path, mapping, issues)
    if not values:
        issues.append(DataError(path, None, "expected one class name a line, but it is empty."))
    return np.array(values, dtype=np.int64)


def write_labels(path: Path, names: Iterable[str]) -> None:
    """Write one class name a line, atomically."""
    write_text(path, "".join(f"{name}\n" for name in names))


def count_transitions(videos: Iterable[Labels], num_classes: int) -> Transitions:
    """Count the pairs of consecutive frames within videos, each (T',) at the rate that the network sees."""
    counts = np.zeros(num_classes**2, np.int64)
    for labels in videos:
        counts += np.bincount(labels[:-1] * num_classes + labels[1:], minlength=num_classes**2)
    pairs = np.flatnonzero(counts)
    before, after = np.divmod(pairs, num_classes)
    return tuple(zip(before.tolist(), after.tolist(), counts[pairs].tolist(), strict=True))


def log_probabilities(
    transitions: Sequence[tuple[int, int, int]], num_classes: int
) -> npt.NDArray[np.float64]:
    """Return ln P(next class | class), (C, C), class by row; one is added to every count (Laplace)."""
    counts = np.ones((num_classes, num_classes))
    for before, after, count in transitions:
        counts[before, after] += count
    return np.asarray(np.log(counts / counts.sum(axis=1, keepdims=True)))


def _careful(lines: list[str], path: Path, mapping: ClassMapping, issues: list[DataError]) -> list[int]:
    index = {normal(name): number for name, number in mapping.index.items()}
    values = []
    unknown: dict[str, int] = {}
    for number, name in numbered(lines):
        value = index.get(name, -1)
        if value < 0:
            unknown.setdefault(name, number)
        values.append(value)
    for name, number in unknown.items():
        message = f"class {brief(repr(name))} is not in the mapping."
        issues.append(DataError(path, number, message, hint=did_you_mean(name, mapping.names)))
    return values
