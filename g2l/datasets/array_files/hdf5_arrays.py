"""HDF5 files by h5py, an optional package; links and numbers kept in other files are not followed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.datasets.array_files.stored import StoredArray, missing_package, unreadable


def list_arrays(path: Path) -> dict[str, StoredArray]:
    """Return the arrays of a file by their path inside it.

    Raises:
        DataError: It cannot be read, or h5py is not installed.
    """
    with open_hdf5(path) as file:
        found: dict[str, StoredArray] = {}

        def add(name: str, item: Any) -> None:
            if isinstance(name, str) and is_array(item):
                found[name] = StoredArray(item.shape, item.dtype)

        file.visititems(add)
        return found


def read_array(path: Path, name: str) -> npt.NDArray[Any]:
    """Return one array of a file.

    Raises:
        DataError: It cannot be read.
    """
    with open_hdf5(path) as file:
        return np.asarray(file[name][...])


@contextmanager
def open_hdf5(path: Path, kind: str = "an HDF5 file") -> Iterator[Any]:
    """Yield an open file, whose errors are those of data.

    Args:
        path: The file.
        kind: What it should be, to say in errors.

    Raises:
        DataError: It cannot be read, or h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise missing_package(path, "h5py", "hdf5") from None
    try:
        with h5py.File(path, "r") as file:
            yield file
    except Exception as error:  # h5py's errors of damaged files have no common base class
        raise unreadable(path, kind, error) from None


def is_array(item: Any) -> bool:
    """Return whether an item of a file is an array whose numbers are in this very file."""
    import h5py

    return isinstance(item, h5py.Dataset) and not item.is_virtual and not item.external
