"""MATLAB's `.mat` files: matrices and cell arrays of matrices, of versions 4 to 7.3.

Lea et al. (CVPR 2017) keep features in the matrices `X`, `A` or `S` and class numbers in `Y`, one file for
each video, or in cell arrays of these names with one cell for each video.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.datasets.array_files.hdf5_arrays import is_array, open_hdf5
from g2l.datasets.array_files.mat_tags import check_tags
from g2l.datasets.array_files.stored import StoredArray, unreadable

_KIND = "a .mat file"
_TYPES = {"double": "f8", "single": "f4", "logical": "u1"} | {
    f"{sign}int{bits}": f"{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
"""MATLAB's classes of numbers."""
_HDF5 = b"MATLAB 7.3 "


def list_arrays(path: Path) -> dict[str, StoredArray]:
    """Return the matrices of a file, those in cells as `X{1}`, `X{2}` and so on.

    Raises:
        DataError: It cannot be read, or is of version 7.3 and h5py is not installed.
    """
    return dict(_list_hdf5(path) if _is_hdf5(path) else _list_old(path))


def read_array(path: Path, name: str) -> npt.NDArray[Any]:
    """Return one matrix of a file, with its axes in MATLAB's order.

    Raises:
        DataError: It cannot be read.
    """
    variable, _, place = name.partition("{")
    cell = int(place[:-1]) if place else None
    if _is_hdf5(path):
        with open_hdf5(path, _KIND) as file:
            item = file[variable] if cell is None else file[_references(file[variable])[cell - 1]]
            return np.asarray(item[...]).T  # version 7.3 stores MATLAB's columns as rows
    value = _load(path, variable, path.stat().st_mtime_ns)
    return np.asarray(value if cell is None else value.ravel(order="F")[cell - 1])


def _list_old(path: Path) -> Iterator[tuple[str, StoredArray]]:
    from scipy.io import whosmat
    from scipy.io.matlab import matfile_version

    try:
        if matfile_version(path)[0] == 1:
            check_tags(path)
        found = whosmat(path)
    except Exception as error:  # scipy's errors of damaged files have no common base class
        raise unreadable(path, _KIND, error) from None
    for name, shape, kind in found:
        if kind in _TYPES:
            yield name, StoredArray(tuple(shape), np.dtype(_TYPES[kind]))
        elif kind == "cell":
            cells = _load(path, name, path.stat().st_mtime_ns).ravel(order="F")
            for cell, value in enumerate(cells, start=1):
                array = np.asarray(value)
                yield f"{name}{{{cell}}}", StoredArray(array.shape, array.dtype, cell)


def _list_hdf5(path: Path) -> Iterator[tuple[str, StoredArray]]:
    with open_hdf5(path, _KIND) as file:
        for name, item in file.items():
            if not isinstance(name, str) or not is_array(item):
                continue
            if item.dtype.kind in "fiu":
                yield name, StoredArray(item.shape[::-1], item.dtype)
            for cell, reference in enumerate(_references(item), start=1):
                inside = file[reference]
                if is_array(inside):
                    yield f"{name}{{{cell}}}", StoredArray(inside.shape[::-1], inside.dtype, cell)


def _references(item: Any) -> list[Any]:
    """Return what the cells of a cell array refer to; none for any other item."""
    import h5py

    if h5py.check_ref_dtype(item.dtype) is not h5py.Reference:
        return []
    return list(item[...].ravel())


@lru_cache(maxsize=1)
def _load(path: Path, name: str, modified: int) -> npt.NDArray[Any]:
    """Return one variable; a cell array is kept, for it is read as a whole for each of its cells."""
    from scipy.io import loadmat

    try:
        return np.asarray(loadmat(path, variable_names=[name])[name])
    except Exception as error:
        raise unreadable(path, _KIND, error) from None


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_HDF5)) == _HDF5
    except OSError as error:
        raise unreadable(path, _KIND, error) from None
