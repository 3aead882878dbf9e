"""The kinds of error that reach a user; `cli.boundary` maps each kind to its exit code."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

LONGEST_PART = 300
"""Characters of what is repeated in a message."""


class G2LError(Exception):
    """Base of every error that is told to the user in one line.

    Args:
        message: What is wrong: file, line or field, what was expected and what was found.
        hint: What to do about it, or None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the hint when the error crosses a process boundary."""
        return (_rebuild, (type(self), self.message, self.hint))


class InputError(G2LError):
    """Invalid input: an option, a file, a data set. Exit code 2."""


class OperationalError(G2LError):
    """The input is fine but the operation failed: disk, device, diverging loss. Exit code 1."""


class DiskFullError(OperationalError):
    """A disk or a quota is full: no fault of what was to be written, and of no candidate that wrote it."""


def brief(text: object) -> str:
    """Return a message of a file or a library, which may be long, as a part of one line."""
    line = " ".join(str(text).split())
    return line if len(line) <= LONGEST_PART else f"{line[:LONGEST_PART]}…"


def listed(names: Sequence[str], most: int = 10) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _rebuild(kind: type[G2LError], message: str, hint: str | None) -> G2LError:
    return kind(message, hint=hint)


def at(path: Path | str, line: int | None = None) -> str:
    """Return the `file:line` prefix that data errors start with.

    Args:
        path: The file at fault.
        line: 1-based line number, or None when the file as a whole is at fault.
    """
    return f"{path}" if line is None else f"{path}:{line}"


def did_you_mean(name: str, known: Sequence[str]) -> str | None:
    """Return the hint that names the entries of `known` most like `name`, or None when none is."""
    folded = {item.casefold(): item for item in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    return f"did you mean {', '.join(folded[item] for item in close)}?" if close else None


def no_such_file(path: Path | str) -> InputError:
    """Return the error of a file that is not there, with what is there under a similar name.

    Args:
        path: What was asked for.
    """
    folder = Path(path).parent
    if Path(path).exists():
        return InputError(f"{path}: expected a regular file, but it is of another kind.")
    try:
        found = [item.name for item in folder.iterdir()]
    except OSError:
        return InputError(f"{path}: no such file.", hint=f"{folder} is not a readable directory.")
    return InputError(f"{path}: no such file.", hint=did_you_mean(Path(path).name, found))
