"""The videos of one prediction, one after another: what is done already, what is refused, and the rest."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from g2l.errors import InputError
from g2l.inference.predictor import Predictor
from g2l.inference.videos import VideoFailure, VideoPrediction
from g2l.inference.writers import PredictionWriter
from g2l.pipeline.predict_record import PredictionRecord, Source, source
from g2l.progress import Progress

logger = logging.getLogger("g2l")


@dataclass(frozen=True, kw_only=True)
class PredictSpeed:
    """Where the time went.

    Attributes:
        frames: Frames of the feature files that were predicted.
        seconds: From the first file that was read to the last one that was written.
    """

    frames: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class PredictedVideos:
    """What became of them.

    Attributes:
        written: Names of those whose predictions are there.
        resumed: How many of them were there before.
        failures: The others.
        speed: Of this run.
    """

    written: list[str]
    resumed: int
    failures: list[VideoFailure]
    speed: PredictSpeed


def predict_videos(
    videos: Sequence[Path],
    predictor: Predictor,
    writer: PredictionWriter,
    record: PredictionRecord,
    progress: Progress,
) -> PredictedVideos:
    """Predict and write what is not done; the segments of all videos end up in their order.

    Raises:
        OperationalError: The disk refuses.
    """
    start = time.perf_counter()
    frames = 0
    written: list[str] = []
    failures: list[VideoFailure] = []
    refused = _refused(videos, writer)
    done = {path: rows for path in videos if path not in refused and (rows := record.done(path)) is not None}
    todo = {path: source(path) for path in videos if path not in done and path not in refused}
    with progress.task("predicting", len(videos)) as task, closing(predictor.results(list(todo))) as results:
        for path in videos:
            failure = refused.get(path)
            if path in done:
                writer.restore(done[path])
            elif path in todo:
                result = next(results)
                failure = _write(result, todo[path], writer, record)
                frames += len(result.labels) if isinstance(result, VideoPrediction) else 0
            if failure is None:
                written.append(path.stem)
            else:
                failures.append(failure)
            task.advance(note=path.stem)
    speed = PredictSpeed(frames=frames, seconds=time.perf_counter() - start)
    return PredictedVideos(written=written, resumed=len(done), failures=failures, speed=speed)


def _refused(videos: Sequence[Path], writer: PredictionWriter) -> dict[Path, VideoFailure]:
    """Return the videos that can have no files of their own."""
    refused = {}
    for path in videos:
        try:
            writer.claim(path.stem)
        except InputError as error:
            refused[path] = VideoFailure(path.stem, path, error)
    return refused


def _write(
    result: VideoPrediction | VideoFailure,
    features: Source | None,
    writer: PredictionWriter,
    record: PredictionRecord,
) -> VideoFailure | None:
    """Write one video, or return why there is nothing to write or its ground truth forbids it."""
    if isinstance(result, VideoFailure):
        return result
    if result.notice:
        logger.warning("%s: %s", result.path, result.notice)
    try:
        rows = writer.add(result)
    except InputError as error:
        return VideoFailure(result.name, result.path, error)
    record.add(result.name, features, writer.files, rows)
    return None
