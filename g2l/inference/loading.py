"""From feature files to the arrays that a network takes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from g2l.config import Normalization
from g2l.datasets.errors import DataError
from g2l.datasets.features import FeatureFile, FeatureReader, Features, open_features
from g2l.datasets.normalize import BLOCK_FRAMES, RunningStatistics, Statistics, normalize
from g2l.errors import G2LError, InputError, OperationalError
from g2l.inference.batching import Batching, Group, Piece, Video
from g2l.inference.tiling import BUFFERS, Capacity
from g2l.models.metadata import ModelMetadata

FeatureBatch = npt.NDArray[np.float32]
"""Shape (B, D, T)."""
_PAGE = 4096


def new_array(size: int) -> npt.NDArray[np.float32]:
    """Return an array at the start of a page, to which the system copies files a quarter faster."""
    numbers = _PAGE // np.dtype(np.float32).itemsize
    array = np.empty(size + numbers, np.float32)
    start = -array.ctypes.data % _PAGE // array.itemsize
    return array[start : start + size]


@dataclass(frozen=True)
class Loaded:
    """A group in memory.

    Attributes:
        pieces: What could be read of the group, in the first rows.
        features: (B, D, T) as the network takes them, 0 where nothing was read; a buffer that is reused.
    """

    pieces: Sequence[Piece]
    features: FeatureBatch


@dataclass(frozen=True)
class Failed:
    """Why a video is given up."""

    video: Video
    error: G2LError


class Buffers:
    """Arrays in turn: one is filled while the others are used. New memory costs more than reading into it."""

    def __init__(self) -> None:
        self._arrays = [np.empty(0, np.float32)] * BUFFERS

    def free(self, rows: int, feature_dim: int, frames: int) -> FeatureBatch:
        """Return the least recently used array, (rows, feature_dim, frames)."""
        size = rows * feature_dim * frames
        held = len(self._arrays[0])
        if held < size:
            self._arrays[0] = np.empty(0, np.float32)  # gone before there is a larger one
            self._arrays[0] = new_array(max(size, 2 * held))
        return self._arrays[0][:size].reshape(rows, feature_dim, frames)

    def next(self, rows: int, feature_dim: int, frames: int) -> FeatureBatch:
        """Return the same array and mark it as used."""
        array = self.free(rows, feature_dim, frames)
        self._arrays.append(self._arrays.pop(0))
        return array


class Loader:
    """Reads videos. Owned by one thread.

    Args:
        metadata: Of the model: feature_dim, sample rate and normalisation.
        capacity: How much is read at once.
        batching: What is computed at once.
        buffers: Where it is read to.
    """

    def __init__(
        self, metadata: ModelMetadata, capacity: Capacity, batching: Batching, buffers: Buffers
    ) -> None:
        self._metadata = metadata
        self._capacity = capacity
        self._batching = batching
        self._buffers = buffers

    def load(self, paths: Sequence[Path]) -> Generator[Loaded | Failed, None, None]:
        """Yield all tiles of all videos, and the failures; an unreadable video does not stop the others.

        A yielded array is valid until the second one after it is requested.
        """
        videos = [Video(number, path) for number, path in enumerate(paths)]
        for first in range(0, len(videos), self._batching.window):
            pieces: list[Piece] = []
            for video in videos[first : first + self._batching.window]:
                failures: list[Failed] = []
                with giving_up(video, failures):
                    self._open(video)
                    pieces += [Piece(video, tile) for tile in video.tiles]
                yield from failures
            for group in self._batching.groups(pieces):
                yield from self._load_group(group)

    def _load_group(self, group: Group) -> Generator[Loaded | Failed, None, None]:
        wanted = [piece for piece in group.pieces if not piece.video.failed]
        failures: list[Failed] = []
        read: list[Piece] = []
        features: FeatureBatch | None = None
        for piece in wanted:
            with giving_up(piece.video, failures):
                if features is None:
                    features = self._buffers.next(group.rows, self._metadata.feature_dim, group.frames)
                self._read(piece, features[len(read)])
                read.append(piece)
        yield from failures
        if features is not None and read:
            features[len(read) :] = 0
            yield Loaded(read, features)

    def _open(self, video: Video) -> None:
        video.file = open_features(video.path, self._metadata.feature_dim)
        video.tiles = self._capacity.tiles(-(-video.file.num_frames // self._metadata.sample_rate))
        if self._metadata.normalize is Normalization.VIDEO and len(video.tiles) > 1:
            video.statistics = self._measured(video.file)

    def _measured(self, file: FeatureFile) -> Statistics:
        """Return the statistics of a video that is larger than memory, a part at a time."""
        statistics = RunningStatistics()
        frames = max(1, self._capacity.frames // BLOCK_FRAMES) * BLOCK_FRAMES
        with FeatureReader(file, self._metadata.sample_rate) as reader:
            for first in range(0, reader.num_frames, frames):
                last = min(first + frames, reader.num_frames)
                (features,) = self._buffers.free(1, file.feature_dim, last - first)
                statistics.add(reader.read(first, last, features))
        return statistics.compute()

    def _read(self, piece: Piece, features: Features) -> None:
        """Read one tile into the first frames of `features`, standardised; those behind it become 0."""
        video, tile = piece
        own = features[:, : tile.frames]
        with FeatureReader(video.file, self._metadata.sample_rate) as reader:
            reader.require_unchanged()
            reader.read(tile.first, tile.last, own)
            reader.require_unchanged()
        prepare(own, self._metadata, video.statistics, out=own)
        features[:, tile.frames :] = 0


def prepare(
    features: Features,
    metadata: ModelMetadata,
    statistics: Statistics | None = None,
    *,
    out: Features | None = None,
) -> Features:
    """Return subsampled features (D, T') as the network was trained on them.

    Args:
        features: Of a whole video, or of a part of one.
        metadata: Of the model.
        statistics: Of the whole video, where it is standardised by them and the features are a part only.
        out: Array for the result, which may be `features` itself, or None for a new one where needed.
    """
    if statistics is not None:
        return normalize(features, Normalization.TRAIN, statistics.mean, statistics.std, out=out)
    return normalize(features, metadata.normalize, metadata.mean, metadata.std, out=out)


@contextmanager
def giving_up(video: Video, failures: list[Failed]) -> Iterator[None]:
    """Give a video up where the block raises an error of its own, which is added to `failures`."""
    try:
        yield
        return
    except DataError as error:
        # Without the hint of data sets, of which this file need not be part.
        failed: G2LError = InputError(error.message, hint=error.hint)
    except G2LError as error:
        failed = type(error)(f"{video.path}: {error.message}", hint=error.hint)
    except MemoryError:
        failed = OperationalError(f"{video.path}: does not fit into memory.")
    video.failed = True
    failures.append(Failed(video, failed))
