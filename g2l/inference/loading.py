"""From feature files to the arrays that a network takes: whole videos, tiles of long ones, padded batches."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from g2l.config import Normalization
from g2l.datasets.errors import DataError
from g2l.datasets.features import FeatureFile, FeatureReader, Features, open_features
from g2l.datasets.normalize import BLOCK_FRAMES, RunningStatistics, Statistics, normalize
from g2l.errors import G2LError, InputError, OperationalError
from g2l.inference.sessions import FeatureBatch
from g2l.inference.tiling import BUFFERS, Capacity, Tile
from g2l.models.metadata import ModelMetadata

WINDOW = 64
"""Videos that are looked at together where several are computed at once."""
_PAGE = 4096


def find_videos(paths: Iterable[Path]) -> list[Path]:
    """Return the feature files that `paths` name, each once, in the order given; none of them is opened.

    A folder stands for all that ends in `.npy` there, in alphabetical order, without hidden files. InputError
    if a path is missing, nothing is given, or two files have one name, since their predictions would.
    """
    videos: dict[str, Path] = {}
    for file in (file for path in paths for file in _expand(path)):
        known = videos.setdefault(file.stem, file)
        if known is not file and known.resolve() != file.resolve():
            raise InputError(
                f"{file}: video {file.stem!r} must occur once, but {known} has the same name.",
                hint="predict them into different output folders.",
            )
    if not videos:
        raise InputError("`features` must name at least one feature file, but is empty instead.")
    return list(videos.values())


def _expand(path: Path) -> list[Path]:
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:  # a name that is too long, a loop of links
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    if not exists:
        raise InputError(f"{path}: no such file or folder.")
    if not is_folder:
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix == ".npy" and file.name[0] != ".")
    if not files:
        raise InputError(f"{path}: expected feature files (.npy), but the folder holds none.")
    return files


@dataclass(eq=False)
class Video:
    """A video on its way; its number is its place among all that are predicted."""

    number: int
    path: Path
    file: FeatureFile | None = None
    tiles: Sequence[Tile] = ()
    statistics: Statistics | None = None
    """Of all its frames, where its tiles are standardised by them."""
    error: G2LError | None = None
    """Why it is given up, or None: nothing more of it needs to be done."""


class Piece(NamedTuple):
    """One tile of a video."""

    video: Video
    tile: Tile


class Loaded(NamedTuple):
    """Readable videos of a group, in the first rows of a reused buffer (B, D, T); the rest is 0."""

    pieces: Sequence[Piece]
    features: FeatureBatch


def group_pieces(pieces: Sequence[Piece], batch_frames: int) -> Iterator[tuple[Sequence[Piece], int, int]]:
    """Yield all pieces in batches with their rows and frames, padding included.

    Those of nearly one length come together, padded to one of few lengths, since a GPU prepares its kernels
    for each new shape. Pieces of which less than two fill a batch stay by themselves, without padding.

    A batch has at most `batch_frames`, padding included; 0 leaves each piece by itself.
    """
    buckets: dict[int, list[Piece]] = {}
    for piece in pieces:
        buckets.setdefault(padded_length(piece.tile.frames), []).append(piece)
    for frames, members in buckets.items():
        rows = batch_frames // frames
        if rows < 2:
            yield from (([piece], 1, piece.tile.frames) for piece in members)
        else:
            yield from (
                (members[first : first + rows], rows, frames) for first in range(0, len(members), rows)
            )


def padded_length(frames: int) -> int:
    """Return the length that `frames` are padded to: 64, or 9 to 16 times a power of two."""
    step = 1 << max(3, (frames - 1).bit_length() - 4)
    return max(64, -(-frames // step) * step)


class Buffers:
    """Arrays in turn: one is filled while the others are used. New memory costs more than reading into it."""

    def __init__(self) -> None:
        self._arrays = [np.empty(0, np.float32)] * BUFFERS

    def next(self, *shape: int, used: bool = True) -> FeatureBatch:
        """Return the least recently used array in this shape; unless `used`, it is the next one once more."""
        size, held = math.prod(shape), len(self._arrays[0])
        if held < size:
            self._arrays[0] = np.empty(0, np.float32)  # gone before there is a larger one
            self._arrays[0] = _new_array(max(size, 2 * held))
        array = self._arrays[0][:size].reshape(shape)
        if used:
            self._arrays.append(self._arrays.pop(0))
        return array


def _new_array(size: int) -> FeatureBatch:
    """Return an array at the start of a page, to which the system copies files a quarter faster."""
    array = np.empty(size + _PAGE // 4, np.float32)
    start = -array.ctypes.data % _PAGE // array.itemsize
    return array[start : start + size]


class Loader:
    """Reads videos into buffers as the model takes them. Owned by one thread."""

    def __init__(
        self, metadata: ModelMetadata, capacity: Capacity, batch_frames: int, buffers: Buffers
    ) -> None:
        self._metadata = metadata
        self._capacity = capacity
        self._batch_frames = batch_frames
        self._buffers = buffers

    def load(self, paths: Sequence[Path]) -> Generator[Loaded | Video, None, None]:
        """Yield all tiles of all videos, and the videos that are given up; they do not stop the others.

        A yielded array is valid until the second one after it is requested.
        """
        videos = [Video(number, path) for number, path in enumerate(paths)]
        window = WINDOW if self._batch_frames else 1
        for first in range(0, len(videos), window):
            pieces: list[Piece] = []
            for video in videos[first : first + window]:
                with giving_up(video):
                    self._open(video)
                    pieces += [Piece(video, tile) for tile in video.tiles]
                if video.error is not None:
                    yield video
            for group in group_pieces(pieces, self._batch_frames):
                yield from self._load_group(*group)

    def _load_group(
        self, pieces: Sequence[Piece], rows: int, frames: int
    ) -> Generator[Loaded | Video, None, None]:
        read: list[Piece] = []
        features: FeatureBatch | None = None
        for piece in pieces:
            if piece.video.error is not None:
                continue
            with giving_up(piece.video):
                if features is None:
                    features = self._buffers.next(rows, self._metadata.feature_dim, frames)
                self._read(piece, features[len(read)])
                read.append(piece)
            if piece.video.error is not None:
                yield piece.video
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
                features = self._buffers.next(file.feature_dim, last - first, used=False)
                statistics.add(reader.read(first, last, features))
        return statistics.compute()

    def _read(self, piece: Piece, features: Features) -> None:
        """Read one tile into the first frames of `features`, standardised; those behind it become 0."""
        video, tile = piece
        assert video.file is not None
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
    """Return subsampled features (D, T') as the network was trained on them; `out` as of `normalize`.

    `statistics` are those of the whole video where the features are a part of it.
    """
    if statistics is not None:
        return normalize(features, Normalization.TRAIN, statistics.mean, statistics.std, out=out)
    return normalize(features, metadata.normalize, metadata.mean, metadata.std, out=out)


@contextmanager
def giving_up(video: Video) -> Iterator[None]:
    """Give a video up where the block raises one of our errors or runs out of memory."""
    try:
        yield
    except DataError as error:
        # Without the hint of data sets, of which this file need not be part.
        video.error = InputError(error.message, hint=error.hint)
    except G2LError as error:
        video.error = type(error)(f"{video.path}: {error.message}", hint=error.hint)
    except MemoryError:
        video.error = OperationalError(f"{video.path}: does not fit into memory.")
