"""What is known of an array before its numbers are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from g2l.datasets.faults import DataError, Fault


@dataclass(frozen=True)
class StoredArray:
    """One array of a file.

    Attributes:
        shape: As it will be read.
        dtype: As it will be read.
        cell: Its place, from 1, where the variable is a cell array that holds one array for each video;
            otherwise None.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    cell: int | None = None

    @property
    def is_matrix(self) -> bool:
        """Whether it has two axes of numbers."""
        return len(self.shape) == 2 and self.dtype.kind in "fiu"


def unreadable(path: Path, kind: str, error: Exception) -> DataError:
    """Return what to raise where a library cannot read a file; of its message the first line is kept."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return DataError(Fault(path, None, f"cannot be read as {kind} ({first})."))


def missing_package(path: Path, package: str, extra: str) -> DataError:
    """Return what to raise where the package that reads a file is not installed."""
    message = f"cannot be read without the package {package}."
    return DataError(Fault(path, None, message, hint=f"pip install 'g2l[{extra}]'."))
