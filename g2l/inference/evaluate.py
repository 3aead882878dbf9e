"""Scoring folders of predictions against ground truth and each other; class names are all that is needed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from g2l.config import DataConfig
from g2l.datasets.errors import DataError
from g2l.datasets.facts import read_dataset_facts
from g2l.datasets.features import open_features
from g2l.datasets.holdout import subjects_of
from g2l.datasets.labels import Labels
from g2l.datasets.layout import read_mapping
from g2l.datasets.reading import normal, require_regular
from g2l.errors import InputError, listed
from g2l.files import write_json
from g2l.inference.segments import FrameReader, is_recognition
from g2l.metrics.comparison import MARGIN, Comparison
from g2l.metrics.scores import (
    F1_THRESHOLDS,
    MEAN_F1,
    SegmentationMetrics,
    VideoScores,
    confusion,
    per_class_report,
)
from g2l.metrics.segments import Convention, segments
from g2l.metrics.video_comparison import compare_videos
from g2l.models.metadata import ModelMetadata

_log = logging.getLogger("g2l")

_T = TypeVar("_T")
_Pair: TypeAlias = tuple[Labels, Labels]
"""Predicted and true class number of every frame of one video, (T,) each."""

METRICS_FILE = "metrics.json"
EVALUATION_FILE = "evaluation.json"
EVALUATION_SCHEMA = "g2l.evaluation/1"
UNSMOOTHED = "unsmoothed"
"""Folder beside smoothed predictions with what they were before, and the name of its scores."""
COMPARED = (MEAN_F1, "accuracy", "edit", *(f"f1@{threshold}" for threshold in F1_THRESHOLDS))


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """Scores in percent of a folder of predictions."""

    predictions: Path
    metrics: dict[str, float]
    """Of all videos together."""
    video_scores: dict[str, VideoScores]
    """Counts of each video, by name."""
    per_class: dict[str, Any]
    """See `per_class_report`."""
    classes: tuple[str, ...]
    """In order of their numbers."""
    background: tuple[str, ...]
    """Classes whose segments counted neither for Edit nor for F1."""
    confusion: list[list[int]]
    """Frames of each true class (outer) predicted as each class (inner)."""
    strips: dict[str, dict[str, list[list[int]]]]
    """Of each video its segments as predicted and in truth: `[number of the class, end)`."""
    unsmoothed: dict[str, float] | None = None
    """Metrics of the same predictions before smoothing, or None where none was smoothed."""

    def as_dict(self) -> dict[str, Any]:
        """Return the content of `metrics.json`: the metrics, with those before smoothing as `unsmoothed`."""
        return self.metrics | ({} if self.unsmoothed is None else {UNSMOOTHED: self.unsmoothed})

    def write(self, folder: Path) -> Path:
        """Write `metrics.json` and `evaluation.json` into `folder` atomically; return the former."""
        path = folder / METRICS_FILE
        write_json(path, self.as_dict())
        details = {
            "schema": EVALUATION_SCHEMA,
            "metrics": self.as_dict(),
            "classes": list(self.classes),
            "background": list(self.background),
            "per_class": self.per_class,
            "confusion": self.confusion,
            "videos": {
                name: {"metrics": self.video_scores[name].metrics(), **strips}
                for name, strips in self.strips.items()
            },
        }
        write_json(folder / EVALUATION_FILE, details)
        return path


def evaluate_predictions(
    predictions: Path,
    ground_truth: Path,
    *,
    background: Collection[str] = ("background",),
    classes: Sequence[str] = (),
    videos: Sequence[str] | None = None,
    convention: Convention = Convention.MSTCN,
    length_tolerance: int = DataConfig().length_tolerance,
) -> EvaluationReport:
    """Score every prediction in a folder, or those of some videos.

    Real feature files and label files differ by a few frames: the common prefix is scored, with a warning.
    Where predictions were smoothed, those in `unsmoothed` are scored too.

    Args:
        predictions: Folder of `<video>.txt`, or of official recognition files without a suffix.
        ground_truth: Folder of `<video>.txt`; videos that were not predicted are ignored.
        background: Class names whose segments count neither for Edit nor for F1.
        classes: Class names that have a number, in order; the others that occur follow in alphabetical order.
        videos: Names of the videos to score, or None for all predictions.
        convention: Where the last segment of a video ends.
        length_tolerance: Frames by which a prediction and its truth may differ in length.

    Raises:
        InputError: A folder, predictions or truths are missing (all are named), or differ too much in length.
    """
    found = find_predictions(predictions)
    names = list(found) if videos is None else list(videos)
    files = _of_videos(names, found, predictions, "prediction of every requested video")
    truths = find_truths(names, ground_truth)
    reader = FrameReader(dict.fromkeys([*classes, *background]))
    truth = {name: reader.read(truths[name]) for name in names}

    def pair(path: Path, name: str) -> _Pair:
        predicted, true = reader.read(path), truth[name]
        require_length(path, len(predicted), truths[name], len(true), length_tolerance)
        length = min(len(predicted), len(true))
        if len(predicted) != len(true):
            message = "%s: %d frames against %d; the common prefix is scored."
            _log.warning(message, truths[name], len(predicted), len(true))
        return predicted[:length], true[:length]

    pairs = {name: pair(files[name], name) for name in names}
    kept = {name: predictions / UNSMOOTHED / f"{name}.txt" for name in names}
    before = {name: pair(path, name) for name, path in kept.items() if path.is_file()}
    numbers = [number for number, name in enumerate(reader.names) if name in background]
    scores = partial(_scores, background=numbers, convention=convention)
    metrics, video_scores = scores(pairs)
    ordered, frames = _confusion(pairs, reader.names, len(classes))
    place = {reader.names.index(name): number for number, name in enumerate(ordered)}
    return EvaluationReport(
        predictions=predictions,
        metrics=metrics,
        video_scores=video_scores,
        per_class=per_class_report(frames, ordered),
        classes=ordered,
        background=tuple(background),
        confusion=frames.tolist(),
        strips={
            name: {side: _strip(one, place) for side, one in zip(("prediction", "truth"), pair, strict=True)}
            for name, pair in pairs.items()
        },
        unsmoothed=scores(pairs | before)[0] if before else None,
    )


@dataclass(frozen=True)
class PredictionComparison:
    """First folder minus second, in points."""

    metrics: dict[str, Comparison]
    """The intervals hold for these two models on other videos, not for other seeds of their recipes."""
    classes: dict[str, tuple[float, float]]
    """F1 score of the frames of each class in both folders."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "metrics": {name: one.as_dict() for name, one in self.metrics.items()},
            "classes": {
                name: {"f1-score": ours, "other": theirs, "difference": ours - theirs}
                for name, (ours, theirs) in self.classes.items()
            },
        }


def compare_predictions(
    ours: EvaluationReport, theirs: EvaluationReport, *, margin: float = MARGIN
) -> PredictionComparison:
    """Compare two evaluations of the same videos, grouped by subject where their names show one.

    A difference of up to `margin` points counts as equal. InputError if the folders hold different videos.
    """
    for one, other in ((ours, theirs), (theirs, ours)):
        _of_videos(
            one.video_scores, other.video_scores, other.predictions, "prediction of every compared video"
        )
    subjects = subjects_of(sorted(ours.video_scores))
    metrics = {
        name: compare_videos(
            {(0, 0): ours.video_scores},
            {(0, 0): theirs.video_scores},
            metric=name,
            subjects=subjects,
            margin=margin,
            seed_deviation=0,
        )
        for name in COMPARED
    }
    rows = [report.per_class["classes"] for report in (ours, theirs)]
    names = sorted({name for side in rows for name, row in side.items() if row["support"]})
    scores = {name: tuple(side[name]["f1-score"] if name in side else 0.0 for side in rows) for name in names}
    return PredictionComparison(metrics, {name: (one[0], one[1]) for name, one in scores.items()})


def find_predictions(folder: Path) -> dict[str, Path]:
    """Return the prediction file of each video in a folder; `<video>.txt` wins over a recognition file.

    InputError if the folder is missing or holds no prediction, or one is not a regular file.
    """
    found: dict[str, Path] = {}
    for path in _files(folder):
        if path.suffix == ".txt":
            require_regular(path)
            found[path.stem] = path
        elif path.is_file() and is_recognition(path):
            found.setdefault(path.name, path)
    if not found:
        raise InputError(f"{folder}: expected predictions (<video>.txt), but the folder holds none.")
    return dict(sorted(found.items()))


def label_files(folder: Path) -> dict[str, Path]:
    """Return the `<video>.txt` of a folder by video, in one Unicode form; InputError if it is missing."""
    return {normal(path.stem): path for path in _files(folder) if path.suffix == ".txt"}


def find_truths(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return the label file of each video.

    InputError if the folder is missing or lacks some of them (all are named), or one is not a regular file.
    """
    files = {path.stem: path for path in _files(folder) if path.suffix == ".txt"}
    truths = _of_videos(names, files, folder, "ground truth of every prediction")
    for path in truths.values():
        require_regular(path)
    return truths


def data_set_of(ground_truth: Path) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the classes of the data set that a ground truth belongs to, in order, and its facts.

    Both are empty where the folder is not `groundTruth` beside a `mapping.txt`.
    """
    truths = ground_truth.resolve()
    mapping = truths.with_name("mapping.txt")
    if truths.name != "groundTruth" or not mapping.is_file():
        return (), {}
    return read_mapping(mapping).names, read_dataset_facts(truths.parent)


def require_fitting(
    videos: Iterable[Path], ground_truth: Path, metadata: ModelMetadata, length_tolerance: int
) -> None:
    """Raise InputError if a ground truth of readable feature files is missing or does not fit.

    It may not have classes that the model lacks, nor differ in length by more than the tolerance.
    """
    files = {path.stem: path for path in videos}
    truths = find_truths(list(files), ground_truth)
    classes = metadata.classes
    reader = FrameReader(classes)
    for name, path in truths.items():
        labels = reader.read(path)
        if unknown := reader.names[len(classes) :]:
            raise InputError(
                f"{path}: expected classes of the model, but found {listed(list(map(repr, unknown)))}.",
                hint=f"the model has {listed(list(classes))}; "
                "predict without --ground-truth and score with g2l evaluate.",
            )
        with suppress(DataError):  # the video is reported by itself
            frames = open_features(files[name], metadata.feature_dim).num_frames
            require_length(path, len(labels), files[name], frames, length_tolerance)


def _of_videos(names: Iterable[str], known: Mapping[str, _T], folder: Path, kind: str) -> dict[str, _T]:
    """Return what is known of each video, or name all that lack it; two Unicode forms are one name."""
    forms = {normal(name): one for name, one in known.items()} | dict(known)
    found = {name: forms.get(name, forms.get(normal(name))) for name in names}
    if missing := [name for name, one in found.items() if one is None]:
        raise InputError(f"{folder}: expected the {kind}, but lacks {listed(missing)}.")
    return {name: one for name, one in found.items() if one is not None}


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: {'is not a folder' if folder.exists() else 'no such folder'}.")
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def require_length(path: Path, found: int, other: Path, expected: int, tolerance: int) -> None:
    """Raise InputError if a file has more or fewer frames than another, beyond the tolerance."""
    if abs(found - expected) > tolerance:
        raise InputError(f"{path}: expected {expected} frames as in {other}, but found {found} instead.")


def _strip(labels: Labels, place: Mapping[int, int]) -> list[list[int]]:
    """Return the segments of a video as `EvaluationReport.strips` has them."""
    found = segments(labels)
    return [[place[label], int(end)] for label, end in zip(found.labels, found.ends, strict=True)]


def _scores(
    pairs: Mapping[str, _Pair], background: Collection[int], convention: Convention
) -> tuple[dict[str, float], dict[str, VideoScores]]:
    """Return the metrics of all videos together, and the scores of each."""
    total = SegmentationMetrics(background=background, convention=convention)
    per_video = {name: total.update(predicted, truth) for name, (predicted, truth) in pairs.items()}
    return total.compute(), per_video


def _confusion(
    pairs: Mapping[str, _Pair], names: Sequence[str], known: int
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return classes, the `known` ones, then others that occur by alphabet, and their confusion matrix."""
    predicted, truth = (np.concatenate(side) for side in zip(*pairs.values(), strict=True))
    frames = confusion(predicted, truth, names)
    present = np.flatnonzero(frames.any(axis=0) | frames.any(axis=1)).tolist()
    others = sorted((number for number in present if number >= known), key=names.__getitem__)
    order = [*range(known), *others]
    return tuple(names[number] for number in order), frames[np.ix_(order, order)]
