"""Files that name the class of every frame: ground truth, our predictions, official recognition files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from g2l.datasets.labels import Labels
from g2l.datasets.reading import normal, read_lines
from g2l.errors import InputError
from g2l.files import write_text
from g2l.inference.segments import SegmentRow

RECOGNITION_HEADER = "### Frame level recognition: ###"
"""First line of the files that the evaluation scripts of MS-TCN and G2L read."""


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


def write_frame_names(path: Path, rows: Sequence[SegmentRow]) -> None:
    """Write one class name a line, atomically.

    Args:
        path: Ends in `.txt`.
        rows: Segments that cover all frames of the video in order.
    """
    write_text(path, _repeated(rows, "\n"))


def write_recognition(path: Path, rows: Sequence[SegmentRow]) -> None:
    """Write an official recognition file, atomically.

    Args:
        path: The video's name without any suffix.
        rows: Segments that cover all frames of the video in order; see `check_recognition_names`.
    """
    write_text(path, f"{RECOGNITION_HEADER}\n{_repeated(rows, ' ').removesuffix(' ')}\n")


def check_line_names(classes: Sequence[str]) -> None:
    """Return if every class name can be a line of a text file.

    Raises:
        InputError: One holds a line break, or what UTF-8 cannot encode.
    """
    for name in classes:
        if "\n" in name or "\r" in name or any("\ud800" <= character <= "\udfff" for character in name):
            raise InputError(f"class names must each fit on a line of text, but the model has {name!r}.")


def check_recognition_names(classes: Sequence[str]) -> None:
    """Return if recognition files can name all classes.

    Raises:
        InputError: A name is empty or holds a space, which separates names in these files.
    """
    for name in classes:
        if name.split() != [name]:
            raise InputError(
                f"recognition files separate class names by spaces, so {name!r} cannot be written.",
                hint="leave out --format mstcn.",
            )


def is_recognition(path: Path) -> bool:
    """Return whether a file starts as the official recognition files do."""
    header = RECOGNITION_HEADER.encode()
    try:
        with path.open("rb") as file:
            return file.read(len(header)) == header
    except OSError:
        return False


def _repeated(rows: Sequence[SegmentRow], end: str) -> str:
    return "".join(f"{row.label}{end}" * (row.end_frame - row.start_frame) for row in rows)
