"""The mapping between class names and indices: `mapping.txt`, one `<index> <class name>` a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from g2l.datasets.faults import Fault, raise_first_error
from g2l.datasets.text_lines import numbered, read_lines
from g2l.errors import brief

_LONGEST_INDEX = 9
"""Digits; what is longer is no index, and Python refuses to read thousands of them."""


@dataclass(frozen=True)
class ClassMapping:
    """Class names in index order.

    Attributes:
        names: Length C; position is index.
    """

    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Index of each class name."""
        return {name: index for index, name in enumerate(self.names)}


def read_mapping(path: Path) -> ClassMapping:
    """Return the mapping in `path`; the order of its lines is free.

    Raises:
        DataError: The file is unreadable or empty, a line is not `<index> <class name>`, an index or a name
            occurs twice, or the indices are not 0 … C − 1.
    """
    faults: list[Fault] = []
    mapping = parse_mapping(path, faults)
    raise_first_error(faults)
    return mapping


def parse_mapping(path: Path, faults: list[Fault]) -> ClassMapping:
    """Return the mapping in `path`, appending what is wrong with it to `faults`.

    Raises:
        DataError: The file cannot be read at all.
    """
    lines: dict[int, int] = {}
    names: dict[str, int] = {}
    for number, text in numbered(read_lines(path)):
        # Class names may hold spaces, so only the first run of them separates.
        index_text, _, name = text.replace("\t", " ", 1).partition(" ")
        name = name.strip()
        digits = index_text.isascii() and index_text.isdecimal() and len(index_text) <= _LONGEST_INDEX
        if not (digits and name):
            message = f"expected `<index> <class name>`, but found {brief(repr(text))} instead."
            faults.append(Fault(path, number, message))
            continue
        index = int(index_text)
        if index in lines:
            message = f"index {index} must occur once, but is also in line {lines[index]}."
            faults.append(Fault(path, number, message))
        elif name in names:
            message = f"class {name!r} must occur once, but also has index {names[name]}."
            faults.append(Fault(path, number, message))
        else:
            lines[index] = number
            names[name] = index
    _check_indices(path, lines, faults)
    return ClassMapping(tuple(sorted(names, key=names.__getitem__)))


def _check_indices(path: Path, lines: Mapping[int, int], faults: list[Fault]) -> None:
    if not lines:
        if not faults:
            faults.append(Fault(path, None, "expected one `<index> <class name>` a line, but it is empty."))
        return
    largest = max(lines)
    if largest >= len(lines):
        missing = next(index for index in range(largest) if index not in lines)
        message = f"indices must be 0 … {len(lines) - 1} without a gap, but {missing} is missing."
        faults.append(Fault(path, lines[largest], message))
