"""Feature files: `.npy` matrices of feature_dim × frames, checked by their headers before they are read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from g2l.datasets.faults import DataError, Fault

Features = npt.NDArray[np.float32]
"""Shape (D, T)."""


class Stamp(NamedTuple):
    """What tells that a file was written to or replaced: cheap, and enough where nobody sets clocks back."""

    size: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file by its status."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True)
class FeatureFile:
    """A feature file whose header was checked; its numbers stay on disk until `read`.

    Attributes:
        path: The file.
        shape: As stored.
        dtype: As stored: floating point or integer, of any width and byte order.
        offset: Bytes before the first number.
        fortran_order: Whether columns are contiguous.
        frames_first: Whether it is stored as frames × feature_dim.
        stamp: Of the file when its header was checked; None of a member of an archive.
    """

    path: Path
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int
    fortran_order: bool
    frames_first: bool = False
    stamp: Stamp | None = None

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
        """What the user should know of how the file is read, or None."""
        if not self.frames_first:
            return None
        return (
            f"stored as {self.num_frames} frames × {self.feature_dim} features; read as feature_dim × frames."
        )

    def oriented(self, feature_dim: int, *, frames_first: bool = False) -> FeatureFile:
        """Return this file with the axis of length `feature_dim` taken as the features.

        Args:
            feature_dim: D that the file must have.
            frames_first: Which axis it is in a square matrix, which does not tell.

        Raises:
            DataError: Neither axis has that length.
        """
        rows, columns = self.shape
        if feature_dim not in self.shape:
            message = (
                f"expected feature_dim {feature_dim}, but its shape is {rows} × {columns} "
                "(feature_dim × frames)."
            )
            raise DataError(Fault(self.path, None, message))
        return replace(self, frames_first=frames_first if rows == columns else columns == feature_dim)

    def map(self) -> npt.NDArray[Any]:
        """Return the numbers as stored, (D, T), memory-mapped.

        Raises:
            DataError: The file changed since it was opened.
        """
        order: Literal["F", "C"] = "F" if self.fortran_order else "C"
        try:
            stored = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order)
        except (OSError, ValueError) as error:
            raise DataError(Fault(self.path, None, f"cannot be read ({error}).")) from None
        return stored.T if self.frames_first else stored

    def map_as_read(self) -> Features | None:
        """Return the numbers memory-mapped if they are stored as `read` returns all of them, else None.

        The map is writable but private: what is written to it never reaches the file.

        Raises:
            DataError: As of `read`.
        """
        if self.frames_first or self.fortran_order or self.dtype != np.dtype(np.float32):
            return None
        if not all(np.isfinite(row).all() for row in self.map()):  # without a copy of the whole
            self.read()  # says where
        return np.memmap(self.path, self.dtype, "c", self.offset, self.shape)

    def read(self, sample_rate: int = 1, num_frames: int | None = None) -> Features:
        """Return every `sample_rate`-th of the first `num_frames` frames (None: all), C-contiguous (D, T').

        Raises:
            DataError: A number read is NaN or infinite in float32, or the file changed since it was opened.
        """
        from g2l.datasets.feature_reader import FeatureReader  # which needs the header described here

        with FeatureReader(self, sample_rate) as reader:
            last = None if num_frames is None else min(reader.num_frames, -(-num_frames // sample_rate))
            return reader.read(0, last)


def open_features(path: Path, feature_dim: int | None = None) -> FeatureFile:
    """Check the header of a feature file; no number is read.

    Args:
        path: A `.npy` file.
        feature_dim: D it must have, either way round (see `FeatureFile.notice`); None takes the rows as D.

    Raises:
        DataError: The file is missing, truncated or no numpy array, its array is no matrix of numbers or is
            empty, or neither axis has length `feature_dim`.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as stream:
            status = os.fstat(stream.fileno())
            file = replace(parse_header(path, stream, status.st_size), stamp=Stamp.of(status))
    except OSError as error:
        raise DataError(Fault(path, None, f"cannot be read ({error.strerror}).")) from None
    return file if feature_dim is None else file.oriented(feature_dim)


def open_regular(path: Path) -> int:
    """Return a descriptor to read a regular file by; a pipe, on which opening would wait, is none.

    Raises:
        DataError: It is missing, of another kind or may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DataError(Fault(path, None, "no such file.")) from None
    except OSError as error:
        raise DataError(Fault(path, None, f"cannot be read ({error.strerror}).")) from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device"
    raise DataError(Fault(path, None, f"cannot be read (expected a file, but it is {kind})."))


def parse_header(path: Path, stream: IO[bytes], size: int) -> FeatureFile:
    """Check the header at the start of `stream`; rows are taken as D.

    Args:
        path: The file to name in errors.
        stream: What a `.npy` file holds.
        size: Its length in bytes.

    Raises:
        DataError: As of `open_features`.
        OSError: Reading failed.
    """
    try:
        shape, fortran_order, dtype, offset = _read_header(stream)
    except (ValueError, SyntaxError, TypeError, TokenError, RecursionError, MemoryError):
        found = "is empty" if size == 0 else "has no such header"
        raise DataError(Fault(path, None, f"expected a numpy array (.npy), but it {found}.")) from None
    if dtype.hasobject or dtype.kind not in "fiu":
        raise DataError(Fault(path, None, f"expected floating-point numbers, but found {dtype} instead."))
    if len(shape) != 2:
        raise DataError(Fault(path, None, f"expected feature_dim × frames, but its shape is {shape}."))
    if min(shape) < 1:
        raise DataError(Fault(path, None, f"expected at least one frame, but its shape is {shape}."))
    expected = offset + shape[0] * shape[1] * dtype.itemsize
    if size < expected:
        raise DataError(Fault(path, None, f"is truncated: expected {expected} bytes, but found {size}."))
    return FeatureFile(path, (shape[0], shape[1]), dtype, offset, fortran_order)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream)
    else:  # version 3 exists for structured arrays only
        raise ValueError(version)
    if any(type(size) is not int for size in header[0]):  # numpy lets True pass as a size
        raise ValueError(header[0])
    return (*header, stream.tell())
