"""Reading and writing files so that a kill at any instant leaves either the old file or the new one."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from g2l.errors import DiskFullError, InputError, OperationalError, at, no_such_file

_TEMPORARY = re.compile(r"\..+\.\w{8}\.tmp", re.ASCII | re.DOTALL)
"""Prefix of the temporary files of `atomic_path`."""
_DAMAGED = object()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it onto `path`.

    Missing parent folders are made. An `OperationalError` is raised where the disk refuses.
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
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_torn(folder: Path, name: str = "*") -> None:
    """Remove temporary files of `atomic_path` that a kill has left in a folder, of all files or of one.

    `tracking.json` must be named, for the uploader of a killed run may still be writing it.
    """
    for path in folder.glob(f".{name}.*.tmp"):
        if name == "*" and path.name.startswith(".tracking.json."):
            continue
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> OperationalError:
    """Return what to raise where `path` could not be written."""
    # numpy reports a full disk without a number: "30720 requested and 992 written".
    full = error.errno in (errno.ENOSPC, errno.EDQUOT) or " requested and " in str(error)
    kind = DiskFullError if full else OperationalError
    reason = os.strerror(errno.ENOSPC) if full and error.errno is None else error.strerror or error
    return kind(f"{path}: cannot write ({reason}).")


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
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_refuse)
    except FileNotFoundError:
        raise no_such_file(path) from None
    except json.JSONDecodeError as error:
        raise InputError(
            f"{at(path, error.lineno)}: expected JSON, but {error.msg.lower()} at column {error.colno}."
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: bad UTF-8, NaN, huge integers
        raise InputError(f"{path}: cannot be read as UTF-8 JSON ({error}).") from None


def append_line(path: Path, value: Mapping[str, Any]) -> None:
    """Append one JSON value as a line and flush it to disk; NaN and infinities become null."""
    line = f"{canonical_json(finite(value))}\n".encode()
    try:
        ensure_folder(path.parent)
        with path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error) from error


def _lines(path: Path) -> list[tuple[bytes, Any]]:
    """Return the whole lines of a `.jsonl` file with their values, `_DAMAGED` for what is not JSON.

    A last line that is torn (without an end, or not JSON, as a power cut leaves it) is left out.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OperationalError(f"{path}: cannot be read ({error.strerror}).") from error
    found: list[tuple[bytes, Any]] = []
    for line in text[: text.rfind(b"\n") + 1].splitlines(keepends=True):
        try:
            found.append((line, json.loads(line)))
        except (ValueError, RecursionError):
            found.append((line, _DAMAGED))
    torn = text.endswith(b"\n") and found and found[-1][1] is _DAMAGED
    return found[:-1] if torn else found


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and JSON object of each line of a `.jsonl` file; nothing where there is no file.

    Raises:
        InputError: A line is damaged; a torn last one is left out.
        OperationalError: The file cannot be read.
    """
    for number, (_, value) in enumerate(_lines(path), start=1):
        if not isinstance(value, dict):
            kind = "damaged text" if value is _DAMAGED else type(value).__name__
            raise InputError(f"{at(path, number)}: expected one JSON object, found {kind}.")
        yield number, value


def cut_torn_line(path: Path) -> None:
    """Cut off a last line that a kill or a power cut has torn."""
    whole = sum(len(line) for line, _ in _lines(path))
    try:
        if path.exists() and path.stat().st_size != whole:
            os.truncate(path, whole)
    except OSError as error:
        raise unwritable(path, error) from error


def describe_file(path: Path) -> dict[str, Any]:
    """Return size and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": digest}


def finite(value: Any) -> Any:
    """Return a value whose NaN and infinities are null, as JSON has none."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value` that fingerprints are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return 16 hex digits that identify a JSON value by its content."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def ensure_folder(path: Path) -> None:
    """Make `path` a folder that can be written; an `InputError` where it is a file, or has no rights."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise unwritable(path, error) from error
        raise InputError(
            f"{path}: cannot be used as an output folder ({error.strerror}).", hint="choose another folder."
        ) from error
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: the output folder is not writable.", hint="choose another folder.")


@contextmanager
def hold_folder(path: Path) -> Iterator[None]:
    """Mark a folder as used by this process, until the end or a kill; needs no file that could stay behind.

    Raises:
        OperationalError: Another process holds it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperationalError(
                f"{path}: another process is working in this folder.", hint="wait for it, or end it first."
            ) from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
