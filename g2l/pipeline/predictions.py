"""The videos of one prediction: which are done or refused, and `predictions.jsonl`, which records it."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from g2l.errors import InputError
from g2l.files import fingerprint, unwritable, write_text
from g2l.inference.predictor import Predictor
from g2l.inference.segments import SegmentRow
from g2l.inference.videos import VideoFailure, VideoPrediction
from g2l.inference.writers import RECORD_FILE, PredictionWriter
from g2l.progress import Progress

logger = logging.getLogger("g2l")

Source: TypeAlias = Mapping[str, Any]
"""What tells one feature file, as it was, from others: a JSON value."""
Stamp: TypeAlias = list[int]
"""Size in bytes and time of the last change in nanoseconds: what shows that a file was changed."""


class PredictionRecord:
    """One line per video: the model and the options, its feature file, the files written, its segments.

    A video is done where all but the segments is as it was then. A line is on disk before the next video is
    written. Of several lines of a video the last one counts.

    Args:
        folder: Of the predictions.
        settings: What the files depend on beside the features, as JSON values.
        resume: Whether to keep what an earlier run recorded.

    Raises:
        OperationalError: The record of an earlier run cannot be read.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self._path = folder / RECORD_FILE
        self._made_by = fingerprint(settings)
        self._lines = self._read() if resume else {}
        self._begun = False

    def done(self, features: Path) -> list[SegmentRow] | None:
        """Return the segments of a video that is done, or None."""
        line = self._lines.get(features.stem, {})
        try:
            files = {name: _stamp(self._path.parent / name) for name in line["files"]}
            same = (line["made_by"], line["features"], line["files"]) == (
                self._made_by,
                source(features),
                files,
            )
            return [SegmentRow(*row) for row in line["segments"]] if files and same else None
        except (OSError, KeyError, TypeError):  # a file is gone, or the line is none of ours
            return None

    def add(
        self,
        video: str,
        features: Source | None,
        files: Iterable[Path],
        segments: Sequence[SegmentRow],
    ) -> None:
        """Record that a video is done.

        Args:
            video: Its name.
            features: `source` of its feature file, taken before it was read.
            files: What was written of it, in this folder.
            segments: Of it.

        Raises:
            OperationalError: The disk refuses.
        """
        line = {
            "video": video,
            "made_by": self._made_by,
            "features": features,
            "files": {str(path.relative_to(self._path.parent)): _stamp(path) for path in files},
            "segments": [list(vars(row).values()) for row in segments],
        }
        if not self._begun:  # anew, without a line that was torn by a kill
            write_text(self._path, "".join(f"{json.dumps(old)}\n" for old in self._lines.values()))
            self._begun = True
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(line)}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _read(self) -> dict[str, Any]:
        lines = {}
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unwritable(self._path, error) from error
        for part in text.splitlines():
            try:
                line = json.loads(part)
                lines[str(line["video"])] = line
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # torn
        return lines


def source(features: Path) -> Source | None:
    """Return what tells a feature file, as it is now, from others; None where there is none."""
    try:
        return {"path": str(features.resolve()), "stamp": _stamp(features)}
    except OSError:
        return None


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


@dataclass(frozen=True, kw_only=True)
class PredictSpeed:
    """How fast videos were predicted.

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
    refused: Mapping[Path, VideoFailure],
    predictor: Predictor,
    writer: PredictionWriter,
    record: PredictionRecord,
    progress: Progress,
) -> PredictedVideos:
    """Predict and write what is not done; the segments of all videos end up in their order.

    Args:
        videos: Feature files.
        refused: Those of them that `refused_videos` names.
        predictor: Runs the model.
        writer: Writes what it predicts.
        record: Tells what is done.
        progress: Where progress is shown.

    Raises:
        OperationalError: The disk refuses.
    """
    start = time.perf_counter()
    frames = 0
    written: list[str] = []
    failures: list[VideoFailure] = []
    done = {path: rows for path in videos if path not in refused and (rows := record.done(path)) is not None}
    todo = {path: source(path) for path in videos if path not in done and path not in refused}
    with progress.task("predicting", len(videos)) as task, closing(predictor.results(list(todo))) as results:
        for path in videos:
            failure: VideoFailure | None = refused.get(path)
            if path in done:
                writer.restore(done[path])
            elif path in todo:
                result = next(results)
                failure = _write(result, todo[path], writer, record)
                frames += 0 if isinstance(result, VideoFailure) else len(result.labels)
            if failure is None:
                written.append(path.stem)
            else:
                failures.append(failure)
            task.advance(note=path.stem)
    speed = PredictSpeed(frames=frames, seconds=time.perf_counter() - start)
    return PredictedVideos(written=written, resumed=len(done), failures=failures, speed=speed)


def refused_videos(videos: Sequence[Path], writer: PredictionWriter) -> dict[Path, VideoFailure]:
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
