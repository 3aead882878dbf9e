"""One feature file of any format: which arrays are in it, which one is meant, and its numbers."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from lzma import LZMAError
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from g2l.datasets.array_files.formats import ARRAY_FORMATS
from g2l.datasets.array_files.stored import StoredArray
from g2l.datasets.faults import DataError, Fault
from g2l.datasets.features import FeatureFile, open_features, parse_header
from g2l.errors import did_you_mean

SUFFIXES = (".npy", ".npz", *ARRAY_FORMATS)
LABELS = "Y"
"""Variable of a `.mat` file that holds class numbers (Lea et al.)."""
_FEATURES = "X"
"""Variable of a `.mat` file that holds features unless another one is asked for."""
ZIP_ERRORS = (
    BadZipFile,
    zlib.error,
    LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
)
"""What `zipfile` raises of a damaged, an encrypted and a strangely compressed archive."""


class Layout(StrEnum):
    """Which axis comes first in a file."""

    DT = "dt"
    TD = "td"


@dataclass(frozen=True)
class FeatureSource:
    """One video's features, whose header was checked.

    Attributes:
        header: Its `path` is the file; offsets count in `.npy` files only.
        member: Name inside a file that can hold several arrays, or None.
    """

    header: FeatureFile
    member: str | None = None

    def laid_out(self, layout: Layout) -> FeatureSource:
        """Return this source with its axes known."""
        return replace(self, header=replace(self.header, frames_first=layout is Layout.TD))


def open_sources(path: Path, variable: str | None) -> dict[str, FeatureSource]:
    """Return the videos of a file: one of its name, or one for each cell of a cell array, `<name>_<cell>`.

    Args:
        path: Ends in one of `SUFFIXES`.
        variable: Which array of a file that holds several; None takes the only one, of `.mat` files `X`.

    Raises:
        DataError: The file cannot be read, or holds no such matrix of numbers.
    """
    if path.suffix == ".npy":
        return {path.stem: FeatureSource(open_features(path))}
    if path.suffix == ".npz":
        return {path.stem: _open_archive(path, variable)}
    arrays = ARRAY_FORMATS[path.suffix].list_arrays(path)
    chosen = _choose(path, arrays, variable)
    sources = {}
    for name, array in arrays.items():
        if variable_of(name, array) == chosen:
            video = path.stem if array.cell is None else f"{path.stem}_{array.cell}"
            sources[video] = FeatureSource(_header(path, name, array), name)
    return sources


def variable_of(name: str, array: StoredArray) -> str:
    """Return the name of the variable that an array is, or is a cell of."""
    return name if array.cell is None else name.rpartition("{")[0]


@contextmanager
def unpacked(source: FeatureSource, target: Path) -> Iterator[FeatureFile]:
    """Yield a header whose path can be memory-mapped: what is no `.npy` file is unpacked beside `target`.

    Raises:
        DataError: The file cannot be read any more.
    """
    if source.member is None:
        yield source.header
        return
    copy = target.with_name(f"{target.name}.unpacked")
    try:
        if source.header.path.suffix == ".npz":
            _unpack(source.header.path, source.member, copy)
            yield replace(source.header, path=copy)
        else:
            array = ARRAY_FORMATS[source.header.path.suffix].read_array(source.header.path, source.member)
            with copy.open("wb") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
            del array
            yield replace(open_features(copy), frames_first=source.header.frames_first)
    finally:
        copy.unlink(missing_ok=True)


def _open_archive(path: Path, variable: str | None) -> FeatureSource:
    try:
        with ZipFile(path) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            member = members[_only(path, members, variable)]
            with archive.open(member) as stream:
                return FeatureSource(parse_header(path, stream, member.file_size), member.filename)
    except (*ZIP_ERRORS, OSError) as error:
        raise DataError(Fault(path, None, f"cannot be read as a numpy archive (.npz): {error}.")) from None


def _choose(path: Path, arrays: Mapping[str, StoredArray], variable: str | None) -> str:
    """Return the name of the variable that holds the features."""
    if variable is not None:
        return _only(path, dict.fromkeys(variable_of(*item) for item in arrays.items()), variable)
    names = dict.fromkeys(variable_of(*item) for item in arrays.items() if item[1].is_matrix)
    if path.suffix == ".mat":
        names.pop(LABELS, None)
        variable = _FEATURES if _FEATURES in names else None
    return _only(path, names, variable)


def _only(path: Path, names: Collection[str], variable: str | None) -> str:
    """Return the only name, or `variable` where it is one of them."""
    shown = f"{len(names)} ({', '.join(names)})"
    if variable is None:
        if len(names) == 1:
            return next(iter(names))
        hint = f"--variable chooses one: {', '.join(names)}." if names else None
        raise DataError(Fault(path, None, f"expected one array, but found {shown}.", hint=hint))
    if variable not in names:
        message = f"expected an array {variable!r}, but found {shown}."
        raise DataError(Fault(path, None, message, hint=did_you_mean(variable, list(names))))
    return variable


def _header(path: Path, name: str, array: StoredArray) -> FeatureFile:
    if not array.is_matrix or min(array.shape) < 1:
        message = f"expected a matrix of numbers, but {name} is {array.dtype} of shape {array.shape}."
        raise DataError(Fault(path, None, message))
    rows, columns = array.shape
    return FeatureFile(path, (rows, columns), np.dtype(array.dtype), 0, False)


def _unpack(path: Path, member: str, copy: Path) -> None:
    try:
        with ZipFile(path) as archive, archive.open(member) as packed, copy.open("wb") as file:
            shutil.copyfileobj(packed, file)
    except (*ZIP_ERRORS, KeyError) as error:
        raise DataError(Fault(path, None, f"cannot be read as a numpy archive (.npz): {error}.")) from None
