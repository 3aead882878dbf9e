"""Ground truth: one class name a line, one line a frame."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from g2l.datasets.faults import Fault, raise_first_error
from g2l.datasets.mapping import ClassMapping
from g2l.datasets.text_lines import numbered, read_lines
from g2l.errors import did_you_mean
from g2l.files import write_text

Labels = npt.NDArray[np.int64]
"""Class indices, shape (T,)."""


def read_labels(path: Path, mapping: ClassMapping) -> Labels:
    """Return the class index of every frame, shape (T,); blank lines are skipped.

    Raises:
        DataError: The file is unreadable or holds no frame, or a class is not in the mapping; the line is
            named.
    """
    faults: list[Fault] = []
    labels = parse_labels(path, mapping, faults)
    raise_first_error(faults)
    return labels


def parse_labels(path: Path, mapping: ClassMapping, faults: list[Fault]) -> Labels:
    """Return the class index of every frame, shape (T,), appending what is wrong to `faults`.

    A class that is not in the mapping is reported once a file and stands as -1.

    Raises:
        DataError: The file cannot be read at all.
    """
    lines = read_lines(path)
    index = mapping.index
    try:
        values = [index[line] for line in lines]
    except KeyError:
        # Rare, so that well-formed files of 20,000 lines take one dictionary look-up a line.
        values = _careful(lines, path, mapping, faults)
    if not values:
        faults.append(Fault(path, None, "expected one class name a line, but it is empty."))
    return np.array(values, dtype=np.int64)


def write_labels(path: Path, names: Iterable[str]) -> None:
    """Write one class name a line, atomically."""
    write_text(path, "".join(f"{name}\n" for name in names))


def _careful(lines: list[str], path: Path, mapping: ClassMapping, faults: list[Fault]) -> list[int]:
    values = []
    unknown: dict[str, int] = {}
    for number, name in numbered(lines):
        value = mapping.index.get(name, -1)
        if value < 0:
            unknown.setdefault(name, number)
        values.append(value)
    for name, number in unknown.items():
        message = f"class {name!r} is not in the mapping."
        faults.append(Fault(path, number, message, hint=did_you_mean(name, mapping.names)))
    return values
