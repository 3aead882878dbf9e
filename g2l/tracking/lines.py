"""Append-only files of lines that outlive a kill."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_READ_BYTES = 1 << 18


def read_lines(descriptor: int, offset: int) -> list[bytes]:
    """Return some whole lines from `offset` on, ends included; empty at the end of the file.

    A last line without an end is still being written, or was torn by a kill, and is left out.
    """
    size = _READ_BYTES
    while True:
        block = os.pread(descriptor, size, offset)
        end = block.rfind(b"\n") + 1
        if end or len(block) < size:
            return block[:end].splitlines(keepends=True)
        size *= 2


def end_last_line(path: Path) -> None:
    """End a line that a kill tore, so that the next one is whole."""
    with path.open("rb+") as file:
        if file.seek(0, os.SEEK_END) and not _ends_line(file):
            file.write(b"\n")


def _ends_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
