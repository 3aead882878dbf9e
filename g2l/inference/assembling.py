"""From the probabilities of tiles to the labels of whole videos, in order."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from g2l.datasets.labels import Labels
from g2l.files import unwritable
from g2l.inference.batching import Piece, Video
from g2l.inference.loading import Failed, giving_up
from g2l.inference.sessions import Probabilities
from g2l.inference.stage_times import StageTimes
from g2l.inference.videos import VideoFailure, VideoPrediction

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class Scored:
    """One tile with the probabilities (C, T') of its own frames."""

    piece: Piece
    probabilities: Probabilities


class Assembler:
    """Puts tiles together. Owned by one thread.

    Args:
        sample_rate: Of the model.
        folder: Where the probabilities of a video in several tiles lie, or None for the system's own choice.
        times: Where the seconds are counted.
    """

    def __init__(self, sample_rate: int, folder: Path | None, times: StageTimes) -> None:
        self._rate = sample_rate
        self._folder = folder
        self._times = times
        self._parts: dict[Video, _Parts] = {}

    def videos(self, scored: Iterable[Scored | Failed]) -> Iterator[VideoPrediction | VideoFailure]:
        """Yield one result per video, in the order of their numbers."""
        done: dict[int, VideoPrediction | VideoFailure] = {}
        following = 0
        for item in scored:
            with self._times.measure("decode"):
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
                return video, None  # of which we are told, too
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
        self._times.frames += frames
        return VideoPrediction(video.path.stem, video.path, labels, probabilities, video.file.notice)


class _Parts:
    """What there is of a video in several tiles: labels in memory, probabilities in a file without a name."""

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
        DiskFullError: There is no room; found out later it would kill who writes to the map.
        OperationalError: The folder cannot be written.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise unwritable(folder or Path(tempfile.gettempdir()), error) from error


def stretch(values: npt.NDArray[Number], sample_rate: int, num_frames: int) -> npt.NDArray[Number]:
    """Repeat each value of the last axis `sample_rate` times and cut to the length of the video."""
    if sample_rate == 1:
        return values
    return values.repeat(sample_rate, axis=-1)[..., :num_frames]
