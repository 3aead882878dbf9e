"""The formats of arrays by the ends of their file names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from g2l.datasets.array_files import hdf5_arrays, mat_arrays, torch_arrays
from g2l.datasets.array_files.stored import StoredArray


@dataclass(frozen=True)
class ArrayFormat:
    """How to read one format.

    Attributes:
        list_arrays: Returns what a file holds.
        read_array: Returns one array of a file.
    """

    list_arrays: Callable[[Path], Mapping[str, StoredArray]]
    read_array: Callable[[Path, str], npt.NDArray[Any]]


_TORCH = ArrayFormat(torch_arrays.list_arrays, torch_arrays.read_array)
_HDF5 = ArrayFormat(hdf5_arrays.list_arrays, hdf5_arrays.read_array)
MAT = ArrayFormat(mat_arrays.list_arrays, mat_arrays.read_array)

ARRAY_FORMATS = {".pt": _TORCH, ".pth": _TORCH, ".h5": _HDF5, ".hdf5": _HDF5, ".mat": MAT}
