"""Feature files: `.npy` matrices of feature_dim × frames, read by system calls after a check of the header.

Frames are read into memory of one's own, not through a memory map: a map of a file that is cut short
meanwhile kills the process, and its pages count as memory of the process. The copy takes some 3 % of what
onnxruntime computes with it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from g2l.datasets.errors import DataError
from g2l.datasets.reading import open_regular, reading

Features = npt.NDArray[np.float32]
"""Shape (D, T)."""
_BLOCK_BYTES = 2**22
"""Read at a time where numbers are transposed."""
_LARGEST_AXIS = 2**48
"""Python refuses to print numbers that are much larger."""


@dataclass(frozen=True)
class FeatureFile:
    """A feature file whose header was checked; its numbers stay on disk until `read`."""

    path: Path
    shape: tuple[int, int]  # as stored, without axes of length 1 that a matrix does not need
    dtype: np.dtype[Any]  # floating point or integer, of any width and byte order
    offset: int  # bytes before the first number
    fortran_order: bool
    frames_first: bool = False  # stored as frames × feature_dim
    stamp: tuple[int, int, int] | None = None  # when the header was checked; None of a member of an archive

    @property
    def feature_dim(self) -> int:
        """D."""
        return self.shape[1] if self.frames_first else self.shape[0]

    @property
    def num_frames(self) -> int:
        """T."""
        return self.shape[0] if self.frames_first else self.shape[1]

    @property
    def notice(self) -> str | None:
        """Notice for the user on how the file is read, or None."""
        if not self.frames_first:
            return None
        size = f"{self.num_frames} frames × {self.feature_dim} features"
        return f"stored as {size}; read as feature_dim × frames."

    def oriented(self, feature_dim: int, *, frames_first: bool = False) -> FeatureFile:
        """Return this file with D = `feature_dim`; `frames_first` decides where it is square."""
        rows, columns = self.shape
        if feature_dim not in self.shape:
            found = f"{rows} × {columns} (feature_dim × frames)"
            raise DataError(self.path, None, f"expected feature_dim {feature_dim}, but its shape is {found}.")
        return replace(self, frames_first=frames_first if rows == columns else columns == feature_dim)

    def map_as_read(self) -> Features | None:
        """Return the numbers in a private map if they are stored as `read` returns all of them, else None."""
        if self.frames_first or self.fortran_order or self.dtype != np.dtype(np.float32):
            return None
        with reading(self.path):
            mapped = np.memmap(self.path, self.dtype, "c", self.offset, self.shape)
        if not all(np.isfinite(row).all() for row in mapped):  # without a copy of the whole
            require_finite(self.path, mapped)
        return mapped

    def read(self, sample_rate: int = 1, num_frames: int | None = None) -> Features:
        """Return every `sample_rate`-th of the first `num_frames` frames (None: all), (D, T')."""
        with FeatureReader(self, sample_rate) as reader:
            last = None if num_frames is None else min(reader.num_frames, -(-num_frames // sample_rate))
            return reader.read(0, last)


def open_features(path: Path, feature_dim: int | None = None) -> FeatureFile:
    """Check the header of a `.npy` file; no number is read.

    `feature_dim` is the D it must have, either way round (see `FeatureFile.notice`); None takes the rows.
    DataError unless it is a whole numeric matrix of that size.
    """
    with os.fdopen(open_regular(path), "rb") as stream:
        size, *_ = stamp = _stamp(stream.fileno())
        try:
            shape, fortran_order, dtype, offset = read_header(stream)
        except Exception:  # numpy's parser raises half a dozen types, and OSError where reading fails
            found = "is empty" if size == 0 else "has no such header"
            raise DataError(path, None, f"expected a numpy array (.npy), but it {found}.") from None
    if dtype.hasobject or dtype.kind not in "fiu":
        raise DataError(path, None, f"expected numbers, but found {dtype} instead.")
    matrix = as_matrix(shape)
    if matrix is None:
        raise DataError(path, None, f"expected feature_dim × frames, but its shape is {shape}.")
    if min(matrix) < 1:
        raise DataError(path, None, f"expected at least one frame, but its shape is {shape}.")
    expected = offset + matrix[0] * matrix[1] * dtype.itemsize
    if size < expected:
        raise DataError(path, None, f"is truncated: expected {expected} bytes, but found {size}.")
    file = FeatureFile(path, matrix, dtype, offset, fortran_order, stamp=stamp)
    return file if feature_dim is None else file.oriented(feature_dim)


def as_matrix(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the two axes of an array, or None: (T, 1, 1, D) and (1, T, D) are matrices of T × D."""
    axes = list(shape)
    while len(axes) > 2 and 1 in axes:
        axes.remove(1)
    return (axes[0], axes[1]) if len(axes) == 2 else None


def feature_axis(files: Mapping[str, FeatureFile], lengths: Mapping[str, int]) -> tuple[int, bool]:
    """Return D, and whether square files are to be read as frames × feature_dim.

    D is the length that occurs in the most files on either axis; between equals, the one that leaves the
    other axis nearest to the number of labels (`lengths`, as far as known); then the one on the rows.
    """
    occurs, fits, rows, columns = (Counter[int]() for _ in range(4))
    for name, file in files.items():
        first, last = file.shape
        occurs.update({first, last})
        if first == last:
            continue
        rows[first] += 1
        columns[last] += 1
        if name in lengths:
            fits[first if abs(last - lengths[name]) <= abs(first - lengths[name]) else last] += 1
    dim = max(occurs, key=lambda length: (occurs[length], fits[length], rows[length]))
    return dim, columns[dim] > rows[dim]


def as_features(path: Path, numbers: npt.NDArray[Any]) -> Features:
    """Return numbers of any type as finite float32, C-contiguous, or raise DataError."""
    with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 becomes inf
        features = np.ascontiguousarray(numbers, np.float32)
    require_finite(path, features)
    return features


def require_finite(path: Path, features: Features, first: int = 0, rate: int = 1) -> None:
    """Raise DataError, naming row and frame, if a number of (D, T) is NaN or infinite.

    `first` is the frame of the first column, `rate` the number of frames from one column to the next.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        # A sum costs a tenth of a look at each number; only a doubtful one is looked into.
        if np.isfinite(features.sum()):
            return
    finite = np.isfinite(features)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        message = (
            f"features must be finite, but row {row} of frame {first + column * rate} is "
            f"{features[row, column]} instead (counted from 0; {np.count_nonzero(~finite)} in all)."
        )
        raise DataError(path, None, message)


class FeatureReader:
    """An open feature file; frame t of the reader is frame t · `sample_rate` of the file."""

    def __init__(self, file: FeatureFile, sample_rate: int = 1) -> None:
        self.file = file
        self.num_frames = -(-file.num_frames // sample_rate)
        self._rate = sample_rate
        self._descriptor = open_regular(file.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def require_unchanged(self) -> None:
        """Raise DataError if the file was written to, or replaced, since its header was checked."""
        if self.file.stamp not in (None, _stamp(self._descriptor)):
            raise DataError(self.file.path, None, "changed while it was read.")

    def read(self, first: int = 0, last: int | None = None, out: Features | None = None) -> Features:
        """Return frames [first, last), (D, last - first), in `out`, of contiguous rows, or a new array."""
        last = self.num_frames if last is None else last
        if out is None:
            out = np.empty((self.file.feature_dim, last - first), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 becomes inf
            if self.file.frames_first != self.file.fortran_order:
                self._read_frames(first, out)
            else:
                self._read_rows(first, out)
        require_finite(self.file.path, out, first * self._rate, self._rate)
        return out

    def _read_rows(self, first: int, out: Features) -> None:
        """Rows are contiguous in the file: of each the frames asked for."""
        frames, dtype = self.file.num_frames, self.file.dtype
        as_stored = self._rate == 1 and dtype == np.dtype(np.float32)
        if as_stored and out.shape[1] == frames and out.flags.c_contiguous:
            return self._fill(out.reshape(-1), 0)
        block = np.empty((out.shape[1] - 1) * self._rate + 1, dtype)
        for row, values in enumerate(out):
            self._fill(values if as_stored else block, row * frames + first * self._rate)
            if not as_stored:
                values[:] = block[:: self._rate]
        return None

    def _read_frames(self, first: int, out: Features) -> None:
        """Frames are contiguous in the file: a few at a time, transposed."""
        count = out.shape[1]
        frames = max(1, _BLOCK_BYTES // (len(out) * self.file.dtype.itemsize * self._rate))
        block = np.empty((min(frames, count) * self._rate, len(out)), self.file.dtype)
        for left in range(0, count, frames):
            width = min(frames, count - left)
            some = block[: (width - 1) * self._rate + 1]
            self._fill(some.reshape(-1), (first + left) * self._rate * len(out))
            out[:, left : left + width] = some[:: self._rate].T

    def _fill(self, values: npt.NDArray[Any], number: int) -> None:
        view = values.view(np.uint8).data
        offset = self.file.offset + number * self.file.dtype.itemsize
        while view:
            with reading(self.file.path):
                count = os.preadv(self._descriptor, [view], offset)
                if count == 0:
                    raise EOFError("it was cut short meanwhile")
            view, offset = view[count:], offset + count


def _stamp(descriptor: int) -> tuple[int, int, int]:
    """Return what changes when a file is written or replaced, unless clocks are set back."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns, status.st_ino


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, order, type and offset of a `.npy` file; whatever numpy's parser raises, this does."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream)
    else:  # version 3 exists for structured arrays only
        raise ValueError(version)
    if any(type(size) is not int or size > _LARGEST_AXIS for size in header[0]):  # numpy lets True pass
        raise ValueError("its shape is not one of a file")
    return (*header, stream.tell())
