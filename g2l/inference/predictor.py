"""From feature files to a class for every frame: reading, computing and decoding at the same time."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels
from g2l.errors import OperationalError
from g2l.files import unwritable
from g2l.inference.ahead import ahead
from g2l.inference.batching import Batching, OneByOne, Piece, Video
from g2l.inference.loading import Buffers, Failed, Loaded, Loader, giving_up
from g2l.inference.loading import prepare as prepare
from g2l.inference.probabilities import Probabilities, ProbabilityBatch, require_finite
from g2l.inference.sessions import BatchSession, Session
from g2l.inference.tiling import plan_capacity
from g2l.inference.videos import VideoFailure as VideoFailure
from g2l.inference.videos import VideoPrediction as VideoPrediction
from g2l.inference.videos import find_videos as find_videos

_WAITING = 4
"""Tiles that may wait for their consumer, so that a slow write does not stop the network."""
_Number = TypeVar("_Number", bound=np.generic)


class Predictor:
    """Predicts videos with one session: a thread reads, a thread computes, and the caller uses the results.

    Args:
        session: Runs the model; used from one thread only.
        max_memory: Bytes that this process may have in memory, or None for a share of what is available; a
            video that does not fit is computed in tiles, with the same result.
        folder: Where the probabilities of such a video are kept, in a file that vanishes with them, or None
            for the system's own choice.

    Raises:
        InputError: `max_memory` is too small.
    """

    def __init__(
        self, session: Session, *, max_memory: int | None = None, folder: Path | None = None
    ) -> None:
        self.session = session
        self._capacity = plan_capacity(session.metadata, max_memory)
        self._folder = folder
        self._batching: Batching = session.batching if isinstance(session, BatchSession) else OneByOne()
        self._buffers = Buffers()  # kept from one call to the next

    def predict(self, paths: Iterable[Path]) -> Generator[VideoPrediction | VideoFailure, None, None]:
        """Return one result per video, in order, as they are completed.

        A video is computed while the next one is read. Closing the iterator ends the threads. There may be
        one at a time.

        Args:
            paths: Feature files, or folders of them, see `find_videos`.

        Raises:
            InputError: There is nothing to predict, or a file is missing, before anything is read.
        """
        return self.results(find_videos(paths))

    def results(self, videos: Sequence[Path]) -> Generator[VideoPrediction | VideoFailure, None, None]:
        """Return the same for files that `find_videos` returned; there may be none."""
        metadata = self.session.metadata
        loader = Loader(metadata, self._capacity, self._batching, self._buffers)
        loaded = ahead(loader.load(videos), 0, "g2l-read")
        scored = ahead(self._scored(loaded), _WAITING, "g2l-infer")
        with closing(scored):
            yield from Assembler(metadata.sample_rate, self._folder).videos(scored)

    def _scored(
        self, loaded: Generator[Loaded | Failed, None, None]
    ) -> Generator[Scored | Failed, None, None]:
        with closing(loaded):
            for item in loaded:
                if isinstance(item, Failed):
                    yield item
                    continue
                failures: list[Failed] = []
                scored = self._score(item, failures)
                yield from scored
                yield from failures

    def _score(self, loaded: Loaded, failures: list[Failed]) -> list[Scored]:
        scored = []
        batch = self._run_batch(loaded)
        for row, piece in enumerate(loaded.pieces):
            if piece.video.failed:
                continue
            with giving_up(piece.video, failures):
                if batch is None:
                    own = np.ascontiguousarray(loaded.features[row, :, : piece.tile.frames])
                    probabilities = self.session.probabilities(own)
                else:
                    probabilities = batch[row]
                probabilities = probabilities[:, piece.tile.kept]
                require_finite(probabilities)
                scored.append(Scored(piece, probabilities))
        return scored

    def _run_batch(self, loaded: Loaded) -> ProbabilityBatch | None:
        """Return the probabilities of a group, or None where its pieces are to be computed by themselves."""
        if not isinstance(self.session, BatchSession) or len(loaded.features) == 1:
            return None
        try:
            return self.session.batch(loaded.features, [piece.tile.frames for piece in loaded.pieces])
        except (
            OperationalError
        ):  # the batch may be too large for the device: each piece reports its own error
            return None


@dataclass(frozen=True)
class Scored:
    """One tile with the probabilities (C, T') of its own frames."""

    piece: Piece
    probabilities: Probabilities


class Assembler:
    """Puts tiles together. Owned by one thread.

    Args:
        sample_rate: Of the model.
        folder: Where the probabilities of a video in several tiles are kept; None is the system's own choice.
    """

    def __init__(self, sample_rate: int, folder: Path | None) -> None:
        self._rate = sample_rate
        self._folder = folder
        self._parts: dict[Video, _Parts] = {}

    def videos(self, scored: Iterable[Scored | Failed]) -> Iterator[VideoPrediction | VideoFailure]:
        """Yield one result per video, in the order of their numbers."""
        done: dict[int, VideoPrediction | VideoFailure] = {}
        following = 0
        for item in scored:
            video, result = self._take(item)
            if result is not None:
                done[video.number] = result
            while following in done:
                yield done.pop(following)
                following += 1

    def _take(self, item: Scored | Failed) -> tuple[Video, VideoPrediction | VideoFailure | None]:
        """Take in one more tile, and return the result of its video where that is complete."""
        if isinstance(item, Scored):
            video = item.piece.video
            if video.failed:
                return video, None  # its failure follows
            failures: list[Failed] = []
            with giving_up(video, failures):
                return video, self._add(item)
            (item,) = failures
        video = item.video
        self._parts.pop(video, None)
        return video, VideoFailure(video.path.stem, video.path, item.error)

    def _add(self, item: Scored) -> VideoPrediction | None:
        video, tile = item.piece
        frames = video.file.num_frames
        start, stop = tile.start * self._rate, min(tile.stop * self._rate, frames)
        labels = stretch(item.probabilities.argmax(axis=0), self._rate, stop - start)
        probabilities = stretch(item.probabilities, self._rate, stop - start)
        if len(video.tiles) > 1:
            if video not in self._parts:
                self._parts[video] = _Parts(len(probabilities), frames, self._folder)
            parts = self._parts[video]
            parts.add(start, labels, probabilities)
            if stop < frames:
                return None
            labels, probabilities = parts.labels, parts.probabilities
            del self._parts[video]
        return VideoPrediction(video.path.stem, video.path, labels, probabilities, video.file.notice)


class _Parts:
    """The finished part of a video in several tiles: labels in memory, probabilities in an unnamed file."""

    def __init__(self, classes: int, num_frames: int, folder: Path | None) -> None:
        self.labels = np.empty(num_frames, np.int64)
        self._map = _temporary_map(classes * num_frames * np.dtype(np.float32).itemsize, folder)
        self.probabilities: Probabilities = np.frombuffer(self._map, np.float32).reshape(classes, num_frames)

    def add(self, start: int, labels: Labels, probabilities: Probabilities) -> None:
        """Put in the frames from `start` on; tiles come in order."""
        stop = start + len(labels)
        self.labels[start:stop] = labels
        self.probabilities[:, start:stop] = probabilities
        self._map.madvise(mmap.MADV_DONTNEED)  # what is in the file need not be in memory


def _temporary_map(size: int, folder: Path | None) -> mmap.mmap:
    """Return a map of a file that vanishes with it.

    Raises:
        DiskFullError: There is no room; a write to the map would otherwise kill the process later.
        OperationalError: The folder cannot be written.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise unwritable(folder or Path(tempfile.gettempdir()), error) from error


def stretch(values: npt.NDArray[_Number], sample_rate: int, num_frames: int) -> npt.NDArray[_Number]:
    """Repeat each value of the last axis `sample_rate` times and cut to the length of the video."""
    if sample_rate == 1:
        return values
    return values.repeat(sample_rate, axis=-1)[..., :num_frames]
