"""From feature files to a class for every frame: reading, computing and decoding at the same time."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels
from g2l.errors import G2LError, OperationalError
from g2l.files import unwritable
from g2l.inference.loading import Buffers, Loaded, Loader, Piece, Video, find_videos, giving_up
from g2l.inference.sessions import Probabilities, ProbabilityBatch, Session, require_finite
from g2l.inference.tiling import plan_capacity

_WAITING = 4
"""Tiles that may wait for their consumer, so that a slow write does not stop the network."""
_Item = TypeVar("_Item")
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class VideoPrediction:
    """The prediction of one video, at the frame rate of its feature file; its name is that without `.npy`."""

    name: str
    path: Path
    labels: Labels
    """Most probable class of every frame, (T,)."""
    probabilities: Probabilities
    """(C, T); of a video that was computed in tiles a memory map of a temporary file."""
    notice: str | None = None
    """A remark on how the file was read."""


@dataclass(frozen=True)
class VideoFailure:
    """Why a video could not be predicted; the others go on."""

    name: str
    path: Path
    error: G2LError


_Scored: TypeAlias = tuple[Piece, Probabilities]
"""One tile with the probabilities (C, T') of its own frames."""


class Predictor:
    """Predicts videos with one session: a thread reads, a thread computes, and the caller uses the results.

    A video that does not fit into `max_memory`, see `plan_capacity`, is computed in tiles, with the same
    result. Its probabilities are kept in a file in `folder`, or where the system puts temporary files.
    """

    def __init__(
        self, session: Session, *, max_memory: int | None = None, folder: Path | None = None
    ) -> None:
        self.session = session
        self._capacity = plan_capacity(session.metadata, max_memory)
        self._folder = folder
        self._buffers = Buffers()  # kept from one call to the next

    def predict(self, paths: Iterable[Path]) -> Generator[VideoPrediction | VideoFailure, None, None]:
        """Return one result per video, in order, as they are completed.

        A video is computed while the next one is read. Closing the iterator ends the threads. There may be
        one at a time. InputError, before anything is read, if `find_videos` refuses the paths.
        """
        return self.results(find_videos(paths))

    def results(self, videos: Sequence[Path]) -> Generator[VideoPrediction | VideoFailure, None, None]:
        """Return the same for files that `find_videos` returned; there may be none."""
        loader = Loader(self.session.metadata, self._capacity, self.session.batch_frames, self._buffers)
        loaded = ahead(loader.load(videos), 0, "g2l-read")
        scored = ahead(self._score(loaded), _WAITING, "g2l-infer")
        with closing(scored):
            yield from self._assembled(scored)

    def _score(self, loaded: Generator[Loaded | Video, None, None]) -> Generator[_Scored | Video, None, None]:
        with closing(loaded):
            for item in loaded:
                if isinstance(item, Video):
                    yield item
                    continue
                batch: ProbabilityBatch | None = None
                if len(item.features) > 1:
                    # Perhaps it is too large for the device: then each piece is computed by itself.
                    with suppress(OperationalError):
                        batch = self.session.batch(item.features, [one.tile.frames for one in item.pieces])
                for row, piece in enumerate(item.pieces):
                    if piece.video.error is not None:
                        continue
                    with giving_up(piece.video):
                        if batch is None:
                            own = np.ascontiguousarray(item.features[row, :, : piece.tile.frames])
                            probabilities = self.session.probabilities(own)
                        else:
                            probabilities = batch[row]
                        probabilities = probabilities[:, piece.tile.kept]
                        require_finite(probabilities)
                    yield piece.video if piece.video.error is not None else (piece, probabilities)

    def _assembled(self, scored: Iterable[_Scored | Video]) -> Iterator[VideoPrediction | VideoFailure]:
        """Put tiles together and yield one result per video, in the order of their numbers."""
        parts: dict[Video, _Parts] = {}
        done: dict[int, VideoPrediction | VideoFailure] = {}
        following = 0
        for item in scored:
            video = item if isinstance(item, Video) else item[0].video
            if not isinstance(item, Video):
                if video.error is not None:  # it is reported by itself
                    continue
                with giving_up(video):
                    result = self._add(*item, parts)
                    if result is not None:
                        done[video.number] = result
            if video.error is not None:
                parts.pop(video, None)
                done[video.number] = VideoFailure(video.path.stem, video.path, video.error)
            while following in done:
                yield done.pop(following)
                following += 1

    def _add(self, piece: Piece, scores: Probabilities, parts: dict[Video, _Parts]) -> VideoPrediction | None:
        """Take in one more tile, and return the result of its video where that is complete."""
        video, tile = piece
        assert video.file is not None
        frames, rate = video.file.num_frames, self.session.metadata.sample_rate
        start, stop = tile.start * rate, min(tile.stop * rate, frames)
        labels = stretch(scores.argmax(axis=0), rate, stop - start)
        probabilities = stretch(scores, rate, stop - start)
        if len(video.tiles) > 1:
            if video not in parts:
                parts[video] = _Parts(len(probabilities), frames, self._folder)
            part = parts[video]
            part.add(start, labels, probabilities)
            if part.missing:
                return None
            labels, probabilities = part.labels, part.probabilities
            del parts[video]
        return VideoPrediction(video.path.stem, video.path, labels, probabilities, video.file.notice)


class _Parts:
    """The finished part of a video in several tiles: labels in memory, probabilities in an unnamed file."""

    def __init__(self, classes: int, num_frames: int, folder: Path | None) -> None:
        self.labels = np.empty(num_frames, np.int64)
        self.missing = num_frames
        size = classes * num_frames * np.dtype(np.float32).itemsize
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                # Without room, a write to the map would kill the process later.
                os.posix_fallocate(file.fileno(), 0, size)
                self._map = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise unwritable(folder or Path(tempfile.gettempdir()), error) from error
        self.probabilities: Probabilities = np.frombuffer(self._map, np.float32).reshape(classes, num_frames)

    def add(self, start: int, labels: Labels, probabilities: Probabilities) -> None:
        """Put in the frames from `start` on; tiles may come in any order."""
        stop = start + len(labels)
        self.labels[start:stop] = labels
        self.probabilities[:, start:stop] = probabilities
        self.missing -= len(labels)
        self._map.madvise(mmap.MADV_DONTNEED)  # what is in the file need not be in memory


def stretch(values: npt.NDArray[_Number], sample_rate: int, num_frames: int) -> npt.NDArray[_Number]:
    """Repeat each value of the last axis `sample_rate` times and cut to the length of the video."""
    if sample_rate == 1:
        return values
    return values.repeat(sample_rate, axis=-1)[..., :num_frames]


def ahead(items: Generator[_Item, None, None], depth: int, name: str) -> Generator[_Item, None, None]:
    """Yield the items of a generator that a thread of its own computes, in order.

    The thread ends with the generator, by whatever it ends: exhausted, closed, an error on either side. Up to
    `depth` finished items wait; with 0 an item is begun when the one before has been taken, so two exist.
    """
    end: Any = object()
    with closing(items), ThreadPoolExecutor(1, thread_name_prefix=name) as thread:
        waiting = deque(thread.submit(next, items, end) for _ in range(depth + 1))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item
                del item  # or its memory would be held while the next one is computed
        finally:
            thread.shutdown(cancel_futures=True)
