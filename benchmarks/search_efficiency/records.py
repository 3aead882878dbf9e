"""JSON lines that are appended and never computed twice: what makes the benchmark resumable."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Records:
    """A file of one JSON object per line, each with a `key` of its own; several processes may append to it.

    Args:
        path: The file; made with its folder by the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Record] = {record["key"]: record for record in read_records(path)}

    def find(self, key: str) -> Record | None:
        """Return the record of that key, or None."""
        return self._known.get(key)

    def append(self, record: Record) -> None:
        """Write a line; `record` must have a `key`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(record, sort_keys=True).encode() + b"\n"
        with self._path.open("ab+") as file:
            if file.tell() and not _ends_with_newline(file.fileno()):
                line = b"\n" + line  # a kill had torn the line before: keep it apart
            os.write(file.fileno(), line)
        self._known[record["key"]] = record


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file that may not exist, without lines that a kill has torn."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def _ends_with_newline(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, 1, size - 1) == b"\n"
