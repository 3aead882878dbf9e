"""Scoring a folder of predictions against ground truth; class names are all that is needed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from g2l.config import DataConfig
from g2l.datasets.labels import Labels
from g2l.errors import InputError
from g2l.files import write_json
from g2l.inference.frame_names import is_recognition, read_frame_names
from g2l.metrics.accumulator import SegmentationMetrics
from g2l.metrics.report import confusion, per_class_report
from g2l.metrics.segments import Convention

_log = logging.getLogger("g2l")

METRICS_FILE = "metrics.json"


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """Scores in percent.

    Attributes:
        metrics: Of all videos together: what `metrics.json` holds.
        per_video: The same of each video by itself, by name.
        per_class: Precision, recall, F1 score and support of every class, see `per_class_report`.
        classes: Class names that occur, in alphabetical order.
        confusion: Frames of each true class (outer) predicted as each class (inner), in that order.
    """

    metrics: dict[str, float]
    per_video: dict[str, dict[str, float]]
    per_class: dict[str, Any]
    classes: tuple[str, ...]
    confusion: list[list[int]]

    def write(self, folder: Path) -> Path:
        """Write `metrics.json` into `folder` atomically and return its path."""
        path = folder / METRICS_FILE
        write_json(path, self.metrics)
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

    Args:
        predictions: Folder of `<video>.txt`, or of official recognition files without a suffix.
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
    pairs = {name: _read_pair(found[name], truths[name], length_tolerance) for name in names}
    return _score(pairs, background, convention)


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


def _read_pair(prediction: Path, truth: Path, tolerance: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    predicted, true = read_frame_names(prediction), read_frame_names(truth)
    if abs(len(predicted) - len(true)) > tolerance:
        raise InputError(
            f"{prediction}: expected {len(true)} frames as in {truth}, but found {len(predicted)} instead."
        )
    if len(predicted) != len(true):
        _log.warning(
            "%s: %d frames against %d; the common prefix is scored.", truth, len(predicted), len(true)
        )
    length = min(len(predicted), len(true))
    return predicted[:length], true[:length]


def _score(
    pairs: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    background: Collection[str],
    convention: Convention,
) -> EvaluationReport:
    classes = tuple(sorted({name for pair in pairs.values() for names in pair for name in names}))
    index = {name: number for number, name in enumerate(classes)}
    dropped = [index[name] for name in background if name in index]
    total = SegmentationMetrics(background=dropped, convention=convention)
    per_video = {}
    encoded = {name: tuple(_encode(names, index) for names in pair) for name, pair in pairs.items()}
    for name, (predicted, truth) in encoded.items():
        video = SegmentationMetrics(background=dropped, convention=convention)
        video.update(predicted, truth)
        total.merge(video)
        per_video[name] = video.compute()
    predicted, truth = (np.concatenate(side) for side in zip(*encoded.values(), strict=True))
    return EvaluationReport(
        metrics=total.compute(),
        per_video=per_video,
        per_class=per_class_report(predicted, truth, classes),
        classes=classes,
        confusion=confusion(predicted, truth, classes).tolist(),
    )


def _encode(names: Sequence[str], index: Mapping[str, int]) -> Labels:
    return np.fromiter((index[name] for name in names), dtype=np.int64, count=len(names))
