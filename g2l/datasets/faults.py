"""Faults of a data set: a file, a line and one sentence. Reading raises the first, validation lists all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from g2l.errors import InputError, at

_T = TypeVar("_T")
_VALIDATE_HINT = "`g2l data validate` lists every fault of the data set."


class Severity(StrEnum):
    """Whether a fault stops the reading of a data set."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, or odd, with a data set.

    Attributes:
        path: The file or folder at fault.
        line: 1-based line number, or None when the file as a whole is at fault.
        message: One sentence: what was expected and what was found.
        severity: Errors stop the reading, warnings do not.
        hint: What to do about it, or None.
    """

    path: Path
    line: int | None
    message: str
    severity: Severity = Severity.ERROR
    hint: str | None = None

    def __str__(self) -> str:
        return f"{at(self.path, self.line)}: {self.message}"


class DataError(InputError):
    """The error of one fault; validation takes the fault back out of it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault), hint=fault.hint or _VALIDATE_HINT)
        self.fault = fault

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the fault when the error crosses a process boundary."""
        return (DataError, (self.fault,))


def raise_first_error(faults: Iterable[Fault]) -> None:
    """Raise the first fault that is an error; return when there is none.

    Raises:
        DataError: There is one.
    """
    for fault in faults:
        if fault.severity is Severity.ERROR:
            raise DataError(fault)


def attempt(read: Callable[[], _T], faults: list[Fault]) -> _T | None:
    """Return what `read` returns, or None with its fault added when it raises one."""
    try:
        return read()
    except DataError as error:
        faults.append(error.fault)
        return None
