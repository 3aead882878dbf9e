"""Arrays in files of other formats: numpy archives, torch, HDF5, MATLAB and text.

Nothing is unpickled, no link out of a file is followed, and an array that claims more numbers than its file
can hold is refused before memory is allocated. MATLAB: Lea et al. (CVPR 2017) keep features in the matrices
`X`, `A` or `S` and class numbers in `Y`, one file for each video.
"""

from __future__ import annotations

import pickle
import signal
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from g2l.datasets.errors import DataError
from g2l.datasets.features import as_matrix, read_header
from g2l.datasets.reading import numbered, read_lines, reading, require_regular
from g2l.errors import brief

_SINGLE = "tensor"
"""Name of the tensor of a file that holds nothing but one."""
_MATLAB_TYPES = (
    "double",
    "single",
    "logical",
    *(f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64)),
)
_MATLAB_73 = b"MATLAB 7.3 "
_DENSEST = 1100
"""Times that a file can be smaller than its numbers: a little more than zlib's best ratio, 1032."""
_SMALL = 2**20
"""Bytes that are allocated whatever a file claims."""


@dataclass(frozen=True)
class StoredArray:
    """Shape and type of an array as it will be read; the type is a phrase where it cannot be."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | str

    @property
    def matrix(self) -> tuple[int, int] | None:
        """Its two axes where it is a matrix of numbers, else None."""
        known = isinstance(self.dtype, np.dtype) and self.dtype.kind in "fiu"
        return as_matrix(self.shape) if known else None

    def __str__(self) -> str:
        return f"{self.dtype} of shape {brief(self.shape)}"


class ArrayFormat(NamedTuple):
    """One format of files: what it is called, and how a file of it is listed and read."""

    kind: str
    list_all: Callable[[Path], Mapping[str, StoredArray]]
    read_one: Callable[[Path, str], npt.NDArray[Any]]

    def list_arrays(self, path: Path) -> dict[str, StoredArray]:
        """Return the arrays of a file by name; one that claims more numbers than fit is marked as such.

        Raises:
            DataError: The file is not a regular one of this format.
        """
        require_regular(path)
        with reading(path, self.kind):
            limit = max(_DENSEST * path.stat().st_size, _SMALL)
            found = self.list_all(path)
        excess = "more numbers than the file holds"
        return {
            name: replace(array, dtype=excess) if prod(array.shape) > limit else array
            for name, array in found.items()
        }

    def read_array(self, path: Path, name: str) -> npt.NDArray[Any]:
        """Return one array of a file, or raise DataError."""
        require_regular(path)
        with reading(path, self.kind):
            return np.asarray(self.read_one(path, name))


def _list_npz(path: Path) -> dict[str, StoredArray]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                with archive.open(member) as stream:
                    shape, _, dtype, _ = read_header(stream)
                found[member.filename.removesuffix(".npy")] = StoredArray(shape, dtype)
    return found


def _read_npz(path: Path, name: str) -> npt.NDArray[Any]:
    with np.load(path, allow_pickle=False) as archive:
        return np.asarray(archive[name])


def _list_torch(path: Path) -> dict[str, StoredArray]:
    return {
        name: StoredArray(tuple(tensor.shape), _torch_type(tensor)) for name, tensor in _tensors(path).items()
    }


def _read_torch(path: Path, name: str) -> npt.NDArray[Any]:
    import torch

    tensor = _tensors(path)[name].resolve_neg()
    # numpy has no bfloat16; float32 holds it exactly.
    return np.asarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())


def _torch_type(tensor: Any) -> np.dtype[Any] | str:
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return "a tensor without plain numbers"
    name = str(tensor.dtype).removeprefix("torch.")
    try:
        return np.dtype("float32" if name == "bfloat16" else name)
    except TypeError:
        return name


def _tensors(path: Path) -> dict[str, Any]:
    """Return the tensors of a file, memory-mapped where the file allows it."""
    import torch

    expected = "expected a tensor or a dictionary of tensors"
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's, on how a file was written
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError:
        message = f"{expected}, and other objects are never unpickled."
        hint = "save a tensor (`torch.from_numpy`), or arrays with `numpy.save`."
        raise DataError(path, None, message, hint=hint) from None
    named = {_SINGLE: found} if isinstance(found, torch.Tensor) else found
    if not isinstance(named, dict):
        raise DataError(path, None, f"{expected}, but found a {type(found).__name__}.")
    return {str(name): one.detach() for name, one in named.items() if isinstance(one, torch.Tensor)}


def _list_hdf5(path: Path) -> dict[str, StoredArray]:
    with _open_hdf5(path) as (items, matlab):
        order = -1 if matlab else 1
        return {name: StoredArray((item.shape or ())[::order], item.dtype) for name, item in items.items()}


def _read_hdf5(path: Path, name: str) -> npt.NDArray[Any]:
    with _open_hdf5(path) as (items, matlab):
        numbers = np.asarray(items[name][...])
        return numbers.T if matlab else numbers  # version 7.3 stores MATLAB's columns as rows


@contextmanager
def _open_hdf5(path: Path) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield the arrays of a file, and whether MATLAB wrote it; follow no links."""
    try:
        import h5py
    except ImportError:
        message = "cannot be read without the package h5py."
        raise DataError(path, None, message, hint="pip install 'g2l[hdf5]'.") from None
    matlab = _is_matlab_73(path)
    found: dict[str, Any] = {}

    def add(name: str, item: Any) -> None:
        own = isinstance(item, h5py.Dataset) and not item.is_virtual and not item.external
        if own and isinstance(name, str) and not (matlab and name.startswith("#")):
            found[name] = item

    with h5py.File(path, "r") as file:
        file.visititems(add)  # which follows no soft or external links
        if not found:
            message = "expected arrays, but found none; links and data in other files are not followed."
            raise DataError(path, None, message)
        yield found, matlab


def _list_mat(path: Path) -> dict[str, StoredArray]:
    if _is_matlab_73(path):
        return _list_hdf5(path)
    return {
        name: StoredArray((), value) if isinstance(value, str) else StoredArray(value.shape, value.dtype)
        for name, value in _load_mat(path, path.stat().st_mtime_ns).items()
    }


def _read_mat(path: Path, name: str) -> npt.NDArray[Any]:
    """Return one matrix of a file, with its axes in MATLAB's order."""
    if _is_matlab_73(path):
        return _read_hdf5(path, name)
    return np.asarray(_load_mat(path, path.stat().st_mtime_ns)[name])


_Loaded = dict[str, npt.NDArray[Any] | str]
"""Array, or a phrase for another kind of variable, by name."""


@lru_cache(maxsize=1)
def _load_mat(path: Path, modified: int) -> _Loaded:
    """Return all arrays of a file of version 5, read in a process of its own.

    Some corrupted files end the process in which scipy reads them. The last file is kept, because it is
    listed and read.
    """
    try:
        limit = max(_DENSEST * path.stat().st_size, _SMALL)
        return _scipy_process().submit(_by_scipy, path.absolute(), limit).result()
    except BrokenProcessPool:
        _scipy_process.cache_clear()
        raise ValueError("it is corrupted") from None


@lru_cache(maxsize=1)
def _scipy_process() -> ProcessPoolExecutor:
    """Return the one process that reads with scipy; Ctrl-C reaches the command alone."""
    ignore = (signal.SIGINT, signal.SIG_IGN)
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=signal.signal, initargs=ignore)


def _by_scipy(path: Path, limit: int) -> _Loaded:
    from scipy.io import loadmat, whosmat

    kinds = {}
    for name, shape, kind in whosmat(path):
        if prod(shape) > limit:  # before memory is allocated
            raise ValueError(f"{name} claims more numbers than the file holds")
        kinds[name] = kind
    wanted = [name for name, kind in kinds.items() if kind in _MATLAB_TYPES]
    read = loadmat(path, variable_names=wanted) if wanted else {}
    return {name: np.asarray(read[name]) if name in wanted else f"a {kind}" for name, kind in kinds.items()}


def _is_matlab_73(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MATLAB_73)) == _MATLAB_73


def _list_text(path: Path) -> dict[str, StoredArray]:
    return {"numbers": StoredArray(_read_text(path, "").shape, np.dtype(np.float32))}


def _read_text(path: Path, name: str) -> npt.NDArray[Any]:
    """Return the numbers of a text file, a row a line, without a first line of names.

    Columns are separated by `;` (then numbers may have decimal commas), tabs, commas or spaces. A first
    column without a name numbers the rows, as pandas writes it, and is left out.
    """
    rows = list(numbered(read_lines(path)))
    first = rows[0][1] if rows else ""
    separator = next((mark for mark in ";\t," if mark in first), None)

    def split(text: str) -> list[str]:
        plain = text.replace('"', "").rstrip(separator)
        return (plain.replace(",", ".") if separator == ";" else plain).split(separator)

    names = [field.strip() for field in split(first)]
    named = "" not in names[1:] and not all(map(_is_number, names))
    index = named and names[0] == ""
    numbers: list[npt.NDArray[np.float32]] = []
    for line, text in rows[named:]:
        try:
            with np.errstate(over="ignore"):
                row = np.array(list(map(float, split(text)[index:])), np.float32)
        except ValueError as error:
            raise DataError(path, line, f"expected a table of numbers ({brief(error)}).") from None
        if numbers and len(row) != len(numbers[0]):
            message = f"expected a table of numbers, {len(numbers[0])} in each row, but found {len(row)}."
            raise DataError(path, line, message)
        numbers.append(row)
    if not numbers:
        raise DataError(path, None, "expected a table of numbers, but it holds none.")
    return np.stack(numbers)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_BY_TORCH = ArrayFormat("a file of torch.save", _list_torch, _read_torch)
_BY_HDF5 = ArrayFormat("an HDF5 file", _list_hdf5, _read_hdf5)
_BY_TEXT = ArrayFormat("a table of numbers", _list_text, _read_text)
MAT = ArrayFormat("a .mat file", _list_mat, _read_mat)
BINARY_FORMATS = {
    ".npz": ArrayFormat("a numpy archive (.npz)", _list_npz, _read_npz),
    ".pt": _BY_TORCH,
    ".pth": _BY_TORCH,
    ".h5": _BY_HDF5,
    ".hdf5": _BY_HDF5,
    ".mat": MAT,
}
TEXT_FORMATS = {".csv": _BY_TEXT, ".tsv": _BY_TEXT, ".txt": _BY_TEXT}
ARRAY_FORMATS = BINARY_FORMATS | TEXT_FORMATS
"""Every format but `.npy` by the end of the file's name, in lower case."""
