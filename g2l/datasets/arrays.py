"""Arrays in files of other formats: numpy archives, torch, HDF5, MATLAB and text.

Nothing is unpickled, no link out of a file is followed, and an array that claims more numbers than its file
can hold is refused before memory is allocated.
"""

from __future__ import annotations

import pickle
import signal
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from math import prod
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.datasets.errors import DataError
from g2l.datasets.features import as_matrix, read_header
from g2l.datasets.reading import numbered, read_lines, reading, require_regular
from g2l.errors import brief

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
    read: Callable[[], Any]  # while the file is open

    @property
    def matrix(self) -> tuple[int, int] | None:
        """Its two axes where it is a matrix of numbers, else None."""
        known = isinstance(self.dtype, np.dtype) and self.dtype.kind in "fiu"
        return as_matrix(self.shape) if known else None

    def __str__(self) -> str:
        return f"{self.dtype} of shape {brief(self.shape)}"


Arrays = dict[str, StoredArray]


@contextmanager
def _open_npz(path: Path) -> Iterator[Arrays]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as stream:
                    shape, _, dtype, _ = read_header(stream)
                found[member.removesuffix(".npy")] = StoredArray(
                    shape, dtype, partial(_read_member, archive, member)
                )
        yield found


def _read_member(archive: zipfile.ZipFile, member: str) -> Any:
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


@contextmanager
def _open_torch(path: Path) -> Iterator[Arrays]:
    import torch

    expected = "expected a tensor or a dictionary of tensors"
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's, on how a file was written
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError:
        message = f"{expected}, and other objects are never unpickled."
        hint = "save a tensor (`torch.from_numpy`), or arrays with `numpy.save`."
        raise DataError(path, None, message, hint=hint) from None
    named = {"tensor": found} if isinstance(found, torch.Tensor) else found
    if not isinstance(named, dict):
        raise DataError(path, None, f"{expected}, but found a {type(found).__name__}.")
    yield {
        str(name): _stored_tensor(tensor.detach())
        for name, tensor in named.items()
        if isinstance(tensor, torch.Tensor)
    }


def _stored_tensor(tensor: Any) -> StoredArray:
    import torch

    dtype: np.dtype[Any] | str = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        dtype = "a tensor without plain numbers"
    with suppress(TypeError):  # numpy has no bfloat16; float32 holds it exactly
        dtype = np.dtype("float32" if dtype == "bfloat16" else dtype)

    def read() -> npt.NDArray[Any]:
        plain = tensor.resolve_neg()
        return np.asarray((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())

    return StoredArray(tuple(tensor.shape), dtype, read)


@contextmanager
def _open_hdf5(path: Path) -> Iterator[Arrays]:
    """Yield the arrays of a file, in MATLAB's order of axes where MATLAB wrote it; follow no links."""
    try:
        import h5py
    except ImportError:
        message = "cannot be read without the package h5py."
        raise DataError(path, None, message, hint="pip install 'g2l[hdf5]'.") from None
    matlab = _is_matlab_73(path)
    found: Arrays = {}

    def add(name: str, item: Any) -> None:
        own = isinstance(item, h5py.Dataset) and not item.is_virtual and not item.external
        if own and isinstance(name, str) and not (matlab and name.startswith("#")):
            # Version 7.3 stores MATLAB's columns as rows.
            shape = (item.shape or ())[:: -1 if matlab else 1]
            found[name] = StoredArray(shape, item.dtype, lambda: item[...].T if matlab else item[...])

    with h5py.File(path, "r") as file:
        file.visititems(add)  # which follows no soft or external links
        if not found:
            message = "expected arrays, but found none; links and data in other files are not followed."
            raise DataError(path, None, message)
        yield found


@contextmanager
def _open_mat(path: Path) -> Iterator[Arrays]:
    if _is_matlab_73(path):
        with _open_hdf5(path) as found:
            yield found
        return
    yield {
        name: StoredArray((), value, str)
        if isinstance(value, str)
        else StoredArray(value.shape, value.dtype, partial(np.asarray, value))
        for name, value in _load_mat(path, path.stat().st_mtime_ns).items()
    }


_Loaded = dict[str, npt.NDArray[Any] | str]
"""Array, or a phrase for another kind of variable, by name."""


@lru_cache(maxsize=1)
def _load_mat(path: Path, modified: int) -> _Loaded:
    """Return all arrays of a file of version 5, read in a process of its own.

    Some corrupted files end the process in which scipy reads them. The last file is kept: it is opened twice.
    """
    try:
        return _scipy_process().submit(_by_scipy, path.absolute(), _limit(path)).result()
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


def _limit(path: Path) -> int:
    return max(_DENSEST * path.stat().st_size, _SMALL)


@contextmanager
def _open_text(path: Path) -> Iterator[Arrays]:
    """Yield the numbers of a text file, a row a line, without a first line of names.

    Columns are separated by `;` (then numbers may have decimal commas), tabs, commas or spaces. A first
    column without a name numbers the rows, as pandas writes it, and is left out.
    """
    rows = list(numbered(read_lines(path)))
    first = rows[0][1] if rows else ""
    separator = next((mark for mark in ";\t," if mark in first), None)

    def split(text: str) -> list[str]:
        plain = text.replace('"', "").rstrip(separator)
        return (plain.replace(",", ".") if separator == ";" else plain).split(separator)

    def parse(texts: list[str]) -> npt.NDArray[np.float32]:
        with np.errstate(over="ignore"):
            return np.array(list(map(float, texts)), np.float32)

    names = [field.strip() for field in split(first)]
    named = False
    try:
        parse(names)
    except ValueError:
        named = "" not in names[1:]
    numbers: list[npt.NDArray[np.float32]] = []
    for line, text in rows[named:]:
        try:
            numbers.append(parse(split(text)[named and names[0] == "" :]))
        except ValueError as error:
            raise DataError(path, line, f"expected a table of numbers ({brief(error)}).") from None
        if len(numbers[-1]) != len(numbers[0]):
            found = f"{len(numbers[0])} in each row, but found {len(numbers[-1])}"
            raise DataError(path, line, f"expected a table of numbers, {found}.")
    if not numbers:
        raise DataError(path, None, "expected a table of numbers, but it holds none.")
    matrix = np.stack(numbers)
    yield {"numbers": StoredArray(matrix.shape, matrix.dtype, lambda: matrix)}


_TORCH = ("a file of torch.save", _open_torch)
_HDF5 = ("an HDF5 file", _open_hdf5)
_TEXT = ("a table of numbers", _open_text)
_Format = tuple[str, Callable[[Path], AbstractContextManager[Arrays]]]
BINARY_FORMATS: dict[str, _Format] = {
    ".npz": ("a numpy archive (.npz)", _open_npz),
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".h5": _HDF5,
    ".hdf5": _HDF5,
    ".mat": ("a .mat file", _open_mat),
}
TEXT_FORMATS: dict[str, _Format] = {".csv": _TEXT, ".tsv": _TEXT, ".txt": _TEXT}


@contextmanager
def open_arrays(path: Path) -> Iterator[Arrays]:
    """Yield the arrays of a file of any format but `.npy`; one that claims more than fits is marked as such.

    Raises:
        DataError: The file is not a regular one of its format, or the block fails.
    """
    kind, opened = (BINARY_FORMATS | TEXT_FORMATS)[path.suffix.lower()]
    require_regular(path)
    with reading(path, kind), opened(path) as found:
        excess, limit = "more numbers than the file holds", _limit(path)
        yield {
            name: StoredArray(array.shape, excess, array.read) if prod(array.shape) > limit else array
            for name, array in found.items()
        }
