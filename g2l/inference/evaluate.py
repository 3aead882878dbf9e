"""Scoring a folder of predictions against ground truth; class names are all that is needed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from g2l.config import DataConfig
from g2l.datasets.labels import Labels
from g2l.errors import InputError
from g2l.files import write_json
from g2l.inference.frame_names import FrameReader, is_recognition
from g2l.metrics.accumulator import SegmentationMetrics
from g2l.metrics.per_class import confusion, per_class_report
from g2l.metrics.scores import VideoScores
from g2l.metrics.segments import Convention, segments

_log = logging.getLogger("g2l")

_Pair: TypeAlias = tuple[Labels, Labels]
"""Predicted and true class number of every frame of one video, (T,) each."""

METRICS_FILE = "metrics.json"
EVALUATION_FILE = "evaluation.json"
EVALUATION_SCHEMA = "g2l.evaluation/1"
UNSMOOTHED = "unsmoothed"
"""Folder beside smoothed predictions with what they were before, and the name of its scores."""


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """Scores in percent.

    Attributes:
        metrics: Of all videos together.
        video_scores: What each video contributes, by name; input of `compare_videos`.
        per_class: Precision, recall, F1 score and support of every class, see `per_class_report`.
        classes: Class names that occur, in alphabetical order.
        background: Class names whose segments counted neither for Edit nor for F1.
        confusion: Frames of each true class (outer) predicted as each class (inner), in that order.
        strips: Of each video, by name, its segments as predicted and in truth: `[number of the class among
            `classes`, end]`, the end exclusive.
        unsmoothed: Metrics of the same predictions before smoothing, or None where none was smoothed.
    """

    metrics: dict[str, float]
    video_scores: dict[str, VideoScores]
    per_class: dict[str, Any]
    classes: tuple[str, ...]
    background: tuple[str, ...]
    confusion: list[list[int]]
    strips: dict[str, dict[str, list[list[int]]]]
    unsmoothed: dict[str, float] | None = None

    @property
    def per_video(self) -> dict[str, dict[str, float | None]]:
        """Metrics of each video alone, by name; Edit and F1 are None where it has no segment."""
        return {name: scores.metrics() for name, scores in self.video_scores.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return what `metrics.json` holds: the metrics, and under `unsmoothed` those before smoothing."""
        return self.metrics | ({} if self.unsmoothed is None else {UNSMOOTHED: self.unsmoothed})

    def write(self, folder: Path) -> Path:
        """Write `metrics.json` and `evaluation.json` into `folder` atomically; return the former."""
        path = folder / METRICS_FILE
        write_json(path, self.as_dict())
        per_video = self.per_video
        videos = {name: {"metrics": per_video[name], **strips} for name, strips in self.strips.items()}
        details = {
            "schema": EVALUATION_SCHEMA,
            "metrics": self.as_dict(),
            "classes": list(self.classes),
            "background": list(self.background),
            "per_class": self.per_class,
            "confusion": self.confusion,
            "videos": videos,
        }
        write_json(folder / EVALUATION_FILE, details)
        return path


def evaluate_predictions(
    predictions: Path,
    ground_truth: Path,
    *,
    background: Collection[str] = ("background",),
    videos: Sequence[str] | None = None,
    convention: Convention = Convention.MSTCN,
    length_tolerance: int = DataConfig().length_tolerance,
) -> EvaluationReport:
    """Score every prediction in a folder, or those of some videos.

    Real feature files and label files differ by a few frames: the common prefix is scored, with a warning.
    Where predictions were smoothed, those before it are scored too.

    Args:
        predictions: Folder of `<video>.txt`, or of official recognition files without a suffix; those before
            smoothing are in `unsmoothed` inside it.
        ground_truth: Folder of `<video>.txt`; videos that were not predicted are ignored.
        background: Class names whose segments count neither for Edit nor for F1.
        videos: Names of the videos to score, or None for all predictions.
        convention: Where the last segment of a video ends.
        length_tolerance: Frames by which a prediction and its truth may differ in length.

    Raises:
        InputError: A folder is missing or holds no prediction, predictions or truths are missing (all
            are named), or the two differ in length by more than the tolerance.
    """
    found = find_predictions(predictions)
    names = list(found) if videos is None else list(videos)
    _require(names, found, predictions, "prediction", "video asked for")
    truths = find_truths(names, ground_truth)
    reader = FrameReader(background)
    truth = {name: reader.read(truths[name]) for name in names}

    def pair(prediction: Path, name: str) -> _Pair:
        return _common(prediction, reader.read(prediction), truths[name], truth[name], length_tolerance)

    pairs = {name: pair(found[name], name) for name in names}
    kept = {name: predictions / UNSMOOTHED / f"{name}.txt" for name in names}
    before = {name: pair(path, name) for name, path in kept.items() if path.is_file()}
    scores = partial(_scores, background=range(len(background)), convention=convention)
    metrics, video_scores = scores(pairs)
    classes, frames = _confusion(pairs, reader.names)
    place = {reader.names.index(name): number for number, name in enumerate(classes)}
    return EvaluationReport(
        metrics=metrics,
        video_scores=video_scores,
        per_class=per_class_report(frames, classes),
        classes=classes,
        background=tuple(background),
        confusion=frames.tolist(),
        strips={
            name: {"prediction": _strip(predicted, place), "truth": _strip(true, place)}
            for name, (predicted, true) in pairs.items()
        },
        unsmoothed=scores(pairs | before)[0] if before else None,
    )


def find_predictions(folder: Path) -> dict[str, Path]:
    """Return the prediction file of each video in a folder, by name of the video.

    Where a video has both kinds of file, `<video>.txt` is taken.

    Raises:
        InputError: The folder is missing or holds no prediction.
    """
    _require_folder(folder)
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found = {path.name: path for path in files if path.suffix != ".txt" and is_recognition(path)}
    found |= {path.stem: path for path in files if path.suffix == ".txt"}
    if not found:
        raise InputError(f"{folder}: expected predictions (<video>.txt), but the folder holds none.")
    return dict(sorted(found.items()))


def find_truths(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return the label file of each video.

    Raises:
        InputError: The folder is missing or lacks some of them; all are named.
    """
    _require_folder(folder)
    truths = {name: folder / f"{name}.txt" for name in names}
    there = {name for name, path in truths.items() if path.is_file()}
    _require(names, there, folder, "ground truth", "prediction")
    return truths


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder.")


def _require(names: Sequence[str], there: Collection[str], folder: Path, kind: str, whose: str) -> None:
    missing = [name for name in names if name not in there]
    if missing:
        shown = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        raise InputError(f"{folder}: expected the {kind} of every {whose}, but lacks {shown}.")


def _common(prediction: Path, predicted: Labels, file: Path, truth: Labels, tolerance: int) -> _Pair:
    """Return the frames that prediction and truth of a video have in common; others are warned of."""
    if abs(len(predicted) - len(truth)) > tolerance:
        raise InputError(
            f"{prediction}: expected {len(truth)} frames as in {file}, but found {len(predicted)} instead."
        )
    if len(predicted) != len(truth):
        _log.warning(
            "%s: %d frames against %d; the common prefix is scored.", file, len(predicted), len(truth)
        )
    length = min(len(predicted), len(truth))
    return predicted[:length], truth[:length]


def _strip(labels: Labels, place: Mapping[int, int]) -> list[list[int]]:
    """Return the segments of a video as `EvaluationReport.strips` has them."""
    found = segments(labels)
    return [
        [place[label], end] for label, end in zip(found.labels.tolist(), found.ends.tolist(), strict=True)
    ]


def _scores(
    pairs: Mapping[str, _Pair], background: Collection[int], convention: Convention
) -> tuple[dict[str, float], dict[str, VideoScores]]:
    """Return the metrics of all videos together, and the scores of each."""
    total = SegmentationMetrics(background=background, convention=convention)
    per_video = {name: total.update(predicted, truth) for name, (predicted, truth) in pairs.items()}
    return total.compute(), per_video


def _confusion(
    pairs: Mapping[str, _Pair], names: Sequence[str]
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the classes that occur, in alphabetical order, and their confusion matrix."""
    predicted, truth = (np.concatenate(side) for side in zip(*pairs.values(), strict=True))
    frames = confusion(predicted, truth, names)
    present = np.flatnonzero(frames.any(axis=0) | frames.any(axis=1)).tolist()
    order = sorted(present, key=names.__getitem__)
    return tuple(names[number] for number in order), frames[np.ix_(order, order)]
