"""Errors of a data set: file, line and one sentence. Reading raises the first, validation lists all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, TypeVar

from g2l.errors import InputError, at

_T = TypeVar("_T")
_VARYING = re.compile(r"'[^']*'|\S*/\S*|\d[\d,.]*")


class DataError(InputError):
    """One thing that is wrong with a data set: raised by a reader, or collected in a list of issues."""

    severity: Literal["error", "warning"] = "error"

    def __init__(self, path: Path, line: int | None, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{at(path, line)}: {reason}", hint=hint)
        self.path, self.line, self.reason = path, line, reason

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.path, self.line, self.reason, self.hint)


class DataWarning(DataError):  # noqa: N818 - never raised
    """One thing that is odd and does not stop the reading."""

    severity = "warning"


def strictly(parse: Callable[[list[DataError]], _T]) -> _T:
    """Return the result of a parser that collects issues, or raise the first error of them."""
    issues: list[DataError] = []
    value = parse(issues)
    for issue in issues:
        if issue.severity == "error":
            raise issue
    return value


def attempt(read: Callable[[], _T], issues: list[DataError]) -> _T | None:
    """Return what `read` returns, or None after adding the error that it raises to `issues`."""
    try:
        return read()
    except DataError as error:
        issues.append(error.with_traceback(None))  # which would keep what was read in memory
        return None


def condense(issues: Iterable[DataError], shown: int) -> list[tuple[DataError, int]]:
    """Return the first issues of each kind, the last of them with the number of others like it.

    Issues are of one kind if they differ in names, places and numbers alone.
    """
    kinds: dict[tuple[str, str], list[DataError]] = {}
    for issue in issues:
        kinds.setdefault((issue.severity, _VARYING.sub("#", issue.reason)), []).append(issue)
    return [
        (issue, len(alike) - shown if number == shown else 0)
        for alike in kinds.values()
        for number, issue in enumerate(alike[:shown], start=1)
    ]


def _rebuild(kind: type[DataError], path: Path, line: int | None, reason: str, hint: str | None) -> DataError:
    return kind(path, line, reason, hint=hint)
