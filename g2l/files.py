"""Reading and writing files so that a kill at any instant leaves either the old file or the new one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from g2l.errors import DiskFullError, InputError, OperationalError, at, no_such_file

_TEMPORARY = re.compile(r"\..+\.\w{8}\.tmp", re.ASCII | re.DOTALL)
"""What `atomic_path` calls its files until they are whole."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it onto `path`.

    Args:
        path: Final name. Missing parent folders are made.

    Raises:
        OperationalError: The folder cannot be made or written (lost mount).
        DiskFullError: There is no room.
    """
    ensure_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_torn(folder: Path) -> None:
    """Remove the temporary files of `atomic_path` that a kill has left in a folder, if there is one."""
    for path in folder.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> OperationalError:
    """Return what to raise where `path` could not be written."""
    kind = DiskFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else OperationalError
    return kind(f"{path}: cannot write ({error.strerror or error}).")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically as indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the JSON value in `path`.

    Raises:
        InputError: The file is missing, unreadable, not UTF-8 or not JSON; line and column are named.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except FileNotFoundError:
        raise no_such_file(path) from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{at(path, error.lineno)}: expected JSON, but {error.msg.lower()} at column {error.colno}."
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: bad UTF-8, NaN, huge integers
        raise InputError(f"{path}: cannot be read as UTF-8 JSON ({error}).") from None


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value` that fingerprints are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return 16 hex digits that identify a JSON value by its content."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def ensure_folder(path: Path) -> None:
    """Make `path` a folder that can be written.

    Raises:
        InputError: It is a file, or may not be written by this user.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be used as an output folder ({error.strerror}).",
            hint="choose another folder with --output-dir or --output.",
        ) from error
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: the output folder is not writable.", hint="choose another folder.")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
