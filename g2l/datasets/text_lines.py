"""Lines of the text files of a data set, whichever editor or system wrote them."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path

from g2l.datasets.faults import DataError, Fault


def read_lines(path: Path) -> list[str]:
    r"""Return the lines of a UTF-8 text file without their ends.

    A byte-order mark is dropped; `\n`, `\r\n` and `\r` end a line, and the last line need not be ended.
    Form feeds and Unicode separators do not end a line, as they do for `str.splitlines`.

    Raises:
        DataError: The file is missing, unreadable or not UTF-8.
    """
    try:
        raw = path.read_bytes().removeprefix(codecs.BOM_UTF8)
        text = raw.decode("utf-8")
    except FileNotFoundError:
        raise DataError(Fault(path, None, "no such file.")) from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            Fault(path, line, f"expected UTF-8 text, but found byte 0x{raw[error.start]:02x} instead.")
        ) from None
    except OSError as error:
        raise DataError(Fault(path, None, f"cannot be read ({error.strerror}).")) from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the 1-based number and the stripped text of each line that is not blank."""
    for number, line in enumerate(lines, start=1):
        if stripped := line.strip():
            yield number, stripped
