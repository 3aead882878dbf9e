"""Reading frames of a feature file into memory of one's own.

By system calls, not through a memory map: a map of a file that is cut short meanwhile kills the process, and
its pages count as memory of the process. The copy takes some 3 % of what onnxruntime computes with it.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from g2l.datasets.faults import DataError, Fault
from g2l.datasets.features import FeatureFile, Features, Stamp, open_regular

_BLOCK_BYTES = 2**22
"""Read at a time where numbers are converted or transposed."""
_NATIVE = "<" if sys.byteorder == "little" else ">"


class FeatureReader:
    """An open feature file, of which every `sample_rate`-th frame is read.

    Args:
        file: Its header, checked.
        sample_rate: Frame t of the reader is frame t · sample_rate of the file.

    Raises:
        DataError: The file cannot be opened.
    """

    def __init__(self, file: FeatureFile, sample_rate: int = 1) -> None:
        self.file = file
        self.num_frames = -(-file.num_frames // sample_rate)
        self._rate = sample_rate
        self._descriptor = open_regular(file.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def require_unchanged(self) -> None:
        """Return if the file is still as it was when its header was checked.

        Raises:
            DataError: It was written to, or replaced.
        """
        if self.file.stamp not in (None, Stamp.of(os.fstat(self._descriptor))):
            raise self._fault("changed while it was read.")

    def read(self, first: int = 0, last: int | None = None, out: Features | None = None) -> Features:
        """Return frames [first, last), (D, last - first).

        Args:
            first: First frame of the reader.
            last: Frame after the last one, or None for all.
            out: Array to put them into, whose rows are contiguous, or None for a new one.

        Raises:
            DataError: A number is NaN or infinite in float32, or the file was cut short or cannot be read.
        """
        last = self.num_frames if last is None else last
        if out is None:
            out = np.empty((self.file.feature_dim, last - first), np.float32)
        # A float64 beyond float32 becomes inf, which is reported below.
        with np.errstate(over="ignore", invalid="ignore"):
            if self.file.frames_first != self.file.fortran_order:
                self._read_frames(first, out)
            elif self._rate == 1 and self.file.dtype.newbyteorder("=") == np.float32 and self._is_native:
                self._read_as_stored(first, out)
            else:
                self._read_rows(first, out)
            # A sum costs a tenth of looking at each number; only a doubtful one is looked into.
            if not np.isfinite(out.sum()):
                self._require_finite(first, out)
        return out

    @property
    def _is_native(self) -> bool:
        return self.file.dtype.byteorder in ("=", "|", _NATIVE)

    def _read_as_stored(self, first: int, out: Features) -> None:
        if out.shape[1] == self.file.num_frames and out.flags.c_contiguous:
            self._fill(out.reshape(-1), 0)
            return
        for row, values in enumerate(out):
            self._fill(values, row * self.file.num_frames + first)

    def _read_rows(self, first: int, out: Features) -> None:
        """Rows are contiguous in the file: a few at a time, of each the frames asked for."""
        start = first * self._rate
        length = (out.shape[1] - 1) * self._rate + 1
        rows = max(1, _BLOCK_BYTES // (length * self.file.dtype.itemsize))
        block = np.empty((min(rows, len(out)), length), self.file.dtype)
        for top in range(0, len(out), rows):
            some = block[: len(out) - top]
            for row, values in enumerate(some, top):
                self._fill(values, row * self.file.num_frames + start)
            out[top : top + len(some)] = some[:, :: self._rate]

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
        """Read contiguous `values` that start at a number of the file."""
        view = values.view(np.uint8).data
        offset = self.file.offset + number * self.file.dtype.itemsize
        while view:
            try:
                count = os.preadv(self._descriptor, [view], offset)
            except OSError as error:
                raise self._fault(f"cannot be read ({error.strerror}).") from None
            if count == 0:
                raise self._fault("cannot be read (it was cut short meanwhile).")
            view, offset = view[count:], offset + count

    def _require_finite(self, first: int, features: Features) -> None:
        finite = np.isfinite(features)
        if finite.all():
            return  # only their sum is beyond float32
        row, column = np.argwhere(~finite)[0]
        message = (
            f"features must be finite, but row {row} of frame {(first + column) * self._rate} is "
            f"{features[row, column]} instead (counted from 0; {np.count_nonzero(~finite)} in all)."
        )
        raise self._fault(message)

    def _fault(self, message: str) -> DataError:
        return DataError(Fault(self.file.path, None, message))
