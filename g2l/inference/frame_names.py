"""Files that name the class of every frame: ground truth, our predictions, official recognition files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from g2l.datasets.labels import Labels
from g2l.datasets.reading import normal, read_lines
from g2l.errors import InputError
from g2l.inference.segments import RECOGNITION_HEADER


class FrameReader:
    """Reads files of either kind; a class has the same number in all of them.

    Args:
        names: Class names that have a number beforehand, counted from 0.

    Attributes:
        names: Class names in order of their numbers: those given, then others as they are met. Two Unicode
            forms of a name are one class.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = list(names)
        self._numbers = _Numbers(self.names)

    def read(self, path: Path) -> Labels:
        """Return the class number of every frame, (T,); blank lines are skipped.

        Raises:
            InputError: The file is missing, unreadable, or holds no frame.
        """
        lines = read_lines(path)
        first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
        if lines[first:] and lines[first].strip() == RECOGNITION_HEADER:
            lines = " ".join(lines[first + 1 :]).split()
        # One look-up a frame, without a loop in Python: evaluation reads millions of them.
        numbers = np.fromiter(map(self._numbers.__getitem__, lines), np.int64, len(lines))
        labels: Labels = numbers[numbers >= 0]
        if not len(labels):
            raise InputError(f"{path}: expected the class name of at least one frame, but it holds none.")
        return labels


class _Numbers(dict[str, int]):
    """The number of the class that a line names, whatever spaces surround it; −1 for a blank line."""

    def __init__(self, names: list[str]) -> None:
        super().__init__((normal(name), number) for number, name in enumerate(names))
        self._names = names

    def __missing__(self, line: str) -> int:
        name = line.strip()
        if name == line and name:
            self._names.append(name)
            number = len(self._names) - 1
        else:
            number = self[name] if name else -1
        self[line] = number
        return number


def is_recognition(path: Path) -> bool:
    """Return whether a file starts as the official recognition files do."""
    header = RECOGNITION_HEADER.encode()
    try:
        with path.open("rb") as file:
            return file.read(len(header)) == header
    except OSError:
        return False
