"""A look at the tags of `.mat` files of version 5 before scipy reads them, which an unknown type lets crash.

Tags are described in MathWorks' *MAT-File Format*, chapter 1. Compressed variables have a
checksum of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path

_HEADER = 128
_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
"""Of each type of numbers."""
_INT32, _UINT32, _MATRIX, _COMPRESSED = 5, 6, 14, 15
_TEXT = {1, 2, 3, 4, 16, 17, 18}
_CELL, _CHAR, _NUMERIC = 1, 4, range(6, 16)
"""Classes of variables."""
_COMPLEX = 0x800
"""The flag of a variable whose real part is followed by an imaginary one."""
_DEEPEST = 20


def check_tags(path: Path) -> None:
    """Return if numbers and cells of a file are as its tags say.

    Raises:
        ValueError: They are not.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        order = "<" if content[126:128] == b"IM" else ">"
        place = _HEADER
        while place < len(content):
            kind, size = _unpack(content[place : place + 8], f"{order}II")
            if kind == _MATRIX:
                _check_matrix(content[place + 8 : place + 8 + size], order, size)
            elif kind != _COMPRESSED:
                raise ValueError(f"a variable of unknown type {kind}")
            place += 8 + size


def _check_matrix(data: bytes, order: str, size: int, depth: int = 0) -> None:
    if len(data) < size or depth > _DEEPEST:
        raise ValueError(
            "a variable ends too early" if len(data) < size else "cells within cells without end"
        )
    if not size:
        return  # an empty cell
    parts = list(_elements(data, order))
    if not parts or parts[0][0] != _UINT32:
        raise ValueError("a variable without a class")
    flags = _unpack(parts[0][1][:4], f"{order}I")[0]
    kind = flags & 0xFF
    if kind == _CHAR and {part for part, _ in parts[3:]} <= _TEXT:
        return
    if kind != _CELL and kind not in _NUMERIC:
        if depth:
            raise ValueError("a cell that holds neither numbers nor text")
        return  # nothing that is read here
    if len(parts) < 3 or parts[1][0] != _INT32:
        raise ValueError("a variable without a shape")
    shape = parts[1][1]
    if kind == _CELL:
        for part, inside in parts[3:]:
            if part != _MATRIX:
                raise ValueError(f"a cell of unknown type {part}")
            _check_matrix(inside, order, len(inside), depth + 1)
    else:
        _check_numbers(parts[3:], order, shape, wanted=2 if flags & _COMPLEX else 1)


def _check_numbers(parts: list[tuple[int, bytes]], order: str, shape: bytes, *, wanted: int) -> None:
    count = prod(_unpack(shape, f"{order}{len(shape) // 4}i"))
    if len(parts) != wanted:
        raise ValueError("a variable without its numbers")
    for part, numbers in parts:
        if part not in _BYTES or len(numbers) != count * _BYTES[part]:
            raise ValueError(f"{len(numbers)} bytes of type {part} for {count} numbers")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each part of a variable."""
    place = 0
    while place < len(data):
        kind, size = _unpack(data[place : place + 8], f"{order}II")
        if kind >> 16:  # a small one: type, size and content in 8 bytes
            kind, size, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            start, end = place + 8, place + 8 + size + (-size % 8)
        if start + size > min(end, len(data)):
            raise ValueError("a part of a variable ends too early")
        yield kind, data[start : start + size]
        place = end


def _unpack(data: bytes, form: str) -> tuple[int, ...]:
    try:
        return struct.unpack(form, data)
    except struct.error:
        raise ValueError("a tag ends too early") from None
