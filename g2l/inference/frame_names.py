"""Files that name the class of every frame: ground truth, our predictions, official recognition files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from g2l.datasets.text_lines import numbered, read_lines
from g2l.errors import InputError, at
from g2l.files import write_text

RECOGNITION_HEADER = "### Frame level recognition: ###"
"""First line of the files that the evaluation scripts of MS-TCN and G2L read."""


def read_frame_names(path: Path) -> tuple[str, ...]:
    """Return the class name of every frame of either kind of file; blank lines are skipped.

    Raises:
        InputError: The file is missing, unreadable, or holds no frame.
    """
    lines = list(numbered(read_lines(path)))
    if lines and lines[0][1] == RECOGNITION_HEADER:
        names = [name for _, line in lines[1:] for name in line.split()]
    else:
        names = [line for _, line in lines]
    if not names:
        raise InputError(f"{path}: expected the class name of at least one frame, but it holds none.")
    return tuple(names)


def write_recognition(path: Path, names: Sequence[str]) -> None:
    """Write an official recognition file, atomically.

    Args:
        path: The video's name without any suffix.
        names: Class name of every frame.

    Raises:
        InputError: A name is empty or holds a space, which separates names in these files.
    """
    for name in dict.fromkeys(names):
        if name.split() != [name]:
            raise InputError(
                f"{at(path)}: recognition files separate class names by spaces, "
                f"so {name!r} cannot be written.",
                hint="leave out --mstcn.",
            )
    write_text(path, f"{RECOGNITION_HEADER}\n{' '.join(names)}\n")


def is_recognition(path: Path) -> bool:
    """Return whether a file starts as the official recognition files do."""
    header = RECOGNITION_HEADER.encode()
    try:
        with path.open("rb") as file:
            return file.read(len(header)) == header
    except OSError:
        return False
