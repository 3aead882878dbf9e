"""Opening files that others wrote: regular files only, and whatever a reader raises becomes one line."""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from g2l.datasets.errors import DataError
from g2l.errors import G2LError, brief

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""Encodings that a byte-order mark announces; without one, text is UTF-8."""
_ENCODINGS = "save the file as UTF-8, or as UTF-16 with a byte-order mark."
WHOLE_BYTES = 2**20
BLOCKS = 32
BLOCK_BYTES = 4096


@contextmanager
def reading(path: Path, kind: str | None = None) -> Iterator[None]:
    """Turn any exception of a library that reads `path` (as `kind`) into one DataError."""
    wanted = f" as {kind}" if kind else ""
    try:
        yield
    except G2LError:
        raise
    except FileNotFoundError:
        raise DataError(path, None, "no such file.") from None
    except MemoryError:
        raise DataError(path, None, f"cannot be read{wanted} (it does not fit into memory).") from None
    except Exception as error:  # readers of damaged files raise exceptions of any type
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        first, _, _ = brief(reason).partition(". ")  # what follows is advice to programmers
        raise DataError(path, None, f"cannot be read{wanted} ({first.rstrip('.')}).") from None


def open_regular(path: Path) -> int:
    """Return a descriptor of a regular file, or raise DataError; a pipe would block and is refused."""
    with reading(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device"
    raise DataError(path, None, f"cannot be read (expected a file, but it is {kind}).")


def present(path: Path) -> bool:
    """Return whether there is a file, folder or link, be it broken; DataError where it cannot be seen."""
    with reading(path):
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; DataError as of `present`."""
    with reading(path):
        return path.is_dir()


def require_regular(path: Path) -> None:
    """Check that a library may open `path`; DataError as of `open_regular`."""
    os.close(open_regular(path))


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file; DataError as of `open_regular`."""
    with os.fdopen(open_regular(path), "rb") as stream, reading(path):
        return stream.read()


def file_fingerprint(path: Path) -> dict[str, Any]:
    """Return `size` and `sha256` of a file: of all bytes up to 1 MiB, else of 32 spread blocks of 4 KiB.

    Hashing 30 GB would take minutes; a change in a large file that misses every block is not detected.
    """
    digest = hashlib.sha256()
    with os.fdopen(open_regular(path), "rb") as stream, reading(path):
        size = os.fstat(stream.fileno()).st_size
        if size <= WHOLE_BYTES:
            digest.update(stream.read())
        else:
            for block in range(BLOCKS):
                stream.seek((size - BLOCK_BYTES) * block // (BLOCKS - 1))
                digest.update(stream.read(BLOCK_BYTES))
    return {"size": size, "sha256": digest.hexdigest()}


def read_lines(path: Path) -> list[str]:
    r"""Return the lines of a text file without their ends, in Unicode's normal form C, or raise DataError.

    The text is UTF-8, or UTF-16 after a byte-order mark, which is dropped. `\n`, `\r\n` and `\r` end a line;
    form feeds and Unicode separators do not, unlike in `str.splitlines`.
    """
    raw = read_bytes(path)
    mark = next((mark for mark in _MARKS if raw.startswith(mark)), b"")
    encoding = _MARKS.get(mark, "utf-8")
    raw = raw.removeprefix(mark)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].decode(encoding, "ignore").count("\n") + 1
        message = f"expected {encoding.upper()} text, but found byte 0x{raw[error.start]:02x} instead."
        raise DataError(path, line, message, hint=_ENCODINGS) from None
    if "\0" in text:
        line = text.partition("\0")[0].count("\n") + 1
        raise DataError(path, line, "expected text, but found a zero byte.", hint=_ENCODINGS)
    lines = normal(text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the 1-based number and the stripped text of each line that is not blank."""
    for number, line in enumerate(lines, start=1):
        if stripped := line.strip():
            yield number, stripped


def normal(text: str) -> str:
    """Return `text` in Unicode's normal form C, in which all names of videos and classes are compared."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
