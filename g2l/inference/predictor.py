"""From feature files to a class for every frame, reading the next video while one is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from g2l.datasets.bundle import name_fault
from g2l.datasets.faults import DataError
from g2l.datasets.features import Features, open_features
from g2l.datasets.labels import Labels
from g2l.datasets.normalization import normalize
from g2l.errors import G2LError, InputError, OperationalError
from g2l.inference.sessions import Probabilities, Session
from g2l.models.metadata import ModelMetadata

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class VideoPrediction:
    """What a model says of one video, at the frame rate of its feature file.

    Attributes:
        name: File name without `.npy`.
        path: The feature file.
        labels: Most probable class of every frame, (T,).
        probabilities: (C, T).
        notice: What the user should know of how the file was read, or None.
    """

    name: str
    path: Path
    labels: Labels
    probabilities: Probabilities
    notice: str | None = None


@dataclass(frozen=True)
class VideoFailure:
    """Why a video could not be predicted; the others go on."""

    name: str
    path: Path
    error: G2LError


@dataclass(frozen=True)
class _Loaded:
    """A video in memory: features (D, T') as the network takes them, and T of the file."""

    path: Path
    features: Features
    num_frames: int
    notice: str | None


class Predictor:
    """Predicts videos with one session.

    Args:
        session: Runs the model; used from one thread only.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def predict(self, paths: Iterable[Path]) -> Iterator[VideoPrediction | VideoFailure]:
        """Return one result per video, in order, as they are completed.

        Memory holds two videos at most: the one that is computed and the one that is read meanwhile.

        Args:
            paths: Feature files, or folders of them, see `find_videos`.

        Raises:
            InputError: There is nothing to predict, or a file is missing, before anything is read.
        """
        return self._results(find_videos(paths))

    def _results(self, videos: Sequence[Path]) -> Iterator[VideoPrediction | VideoFailure]:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="g2l-read") as reader:
            reading = reader.submit(self._load, videos[0])
            for following in (*videos[1:], None):
                loaded = reading.result()
                if following is not None:
                    reading = reader.submit(self._load, following)
                yield loaded if isinstance(loaded, VideoFailure) else self._run(loaded)

    def _load(self, path: Path) -> _Loaded | VideoFailure:
        metadata = self.session.metadata
        try:
            file = open_features(path, metadata.feature_dim)
            features = prepare(file.read(metadata.sample_rate), metadata)
            return _Loaded(path, features, file.num_frames, file.notice)
        except DataError as error:
            # Without the hint of data sets, of which this file need not be part.
            return VideoFailure(path.stem, path, InputError(error.message, hint=error.fault.hint))
        except G2LError as error:
            return VideoFailure(path.stem, path, error)
        except MemoryError:
            return VideoFailure(path.stem, path, OperationalError(f"{path}: does not fit into memory."))

    def _run(self, video: _Loaded) -> VideoPrediction | VideoFailure:
        path, rate = video.path, self.session.metadata.sample_rate
        try:
            sampled = self.session.probabilities(video.features)
        except G2LError as error:
            failed = type(error)(f"{path}: {error.message}", hint=error.hint)
            return VideoFailure(path.stem, path, failed)
        if not np.isfinite(sampled).all():
            failed = OperationalError(
                f"{path}: the model gives NaN.", hint="an fp16 export overflows where features are large."
            )
            return VideoFailure(path.stem, path, failed)
        labels = stretch(sampled.argmax(axis=0), rate, video.num_frames)
        probabilities = stretch(sampled, rate, video.num_frames)
        return VideoPrediction(path.stem, path, labels, probabilities, video.notice)


def find_videos(paths: Iterable[Path]) -> list[Path]:
    """Return the feature files that `paths` name, each once.

    Args:
        paths: Files, in the order given, and folders: all their `.npy` files in alphabetical order.

    Raises:
        InputError: A path is missing, a folder holds no `.npy` file, nothing is given, or two
            different files have one name, since their predictions would.
    """
    videos: dict[str, Path] = {}
    for path in paths:
        for file in _expand(path):
            if reason := name_fault(file.stem):
                raise InputError(f"{file}: its name cannot name a video: it {reason}.")
            known = videos.setdefault(file.stem, file)
            if known.resolve() != file.resolve():
                raise InputError(
                    f"{file}: video {file.stem!r} must occur once, but {known} has the same name.",
                    hint="predict them into different output folders.",
                )
    if not videos:
        raise InputError("`features` must name at least one feature file, but is empty instead.")
    return list(videos.values())


def prepare(features: Features, metadata: ModelMetadata) -> Features:
    """Return subsampled features (D, T') as the network was trained on them."""
    return normalize(features, metadata.normalize, metadata.mean, metadata.std)


def stretch(values: npt.NDArray[Number], sample_rate: int, num_frames: int) -> npt.NDArray[Number]:
    """Repeat each value of the last axis `sample_rate` times and cut to the length of the video."""
    if sample_rate == 1:
        return values
    return values.repeat(sample_rate, axis=-1)[..., :num_frames]


def _expand(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder.")
    files = sorted(file for file in path.iterdir() if file.suffix == ".npy" and file.is_file())
    if not files:
        raise InputError(f"{path}: expected feature files (.npy), but the folder holds none.")
    return files
