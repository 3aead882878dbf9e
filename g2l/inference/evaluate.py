"""Scoring folders of predictions against ground truth and each other; class names are all that is needed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

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
from g2l.errors import InputError
from g2l.files import write_json
from g2l.inference.segments import FrameReader, is_recognition
from g2l.metrics.comparison import MARGIN, Comparison
from g2l.metrics.per_class import confusion, per_class_report
from g2l.metrics.scores import F1_THRESHOLDS, MEAN_F1, SegmentationMetrics, VideoScores
from g2l.metrics.segments import Convention, segments
from g2l.metrics.video_comparison import compare_videos
from g2l.models.metadata import ModelMetadata

_log = logging.getLogger("g2l")

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
    """Scores in percent.

    Attributes:
        predictions: Folder of what was scored.
        metrics: Of all videos together.
        video_scores: What each video contributes, by name; input of `compare_videos`.
        per_class: Precision, recall, F1 score and support of every class, see `per_class_report`; the scores
            of a class that occurs nowhere are None.
        classes: Class names in order of their numbers.
        background: Class names whose segments counted neither for Edit nor for F1.
        confusion: Frames of each true class (outer) predicted as each class (inner), in that order.
        strips: Of each video, by name, its segments as predicted and in truth: `[number of the class among
            `classes`, end]`, the end exclusive.
        unsmoothed: Metrics of the same predictions before smoothing, or None where none was smoothed.
    """

    predictions: Path
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

    @property
    def undefined(self) -> int:
        """Number of videos whose Edit and F1 are not defined: only background, predicted as such."""
        return sum(scores.edit is None for scores in self.video_scores.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the content of `metrics.json`: the metrics, with those before smoothing as `unsmoothed`."""
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
    classes: Sequence[str] = (),
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
        classes: Class names that have a number, in order; the others that occur follow in alphabetical order.
        videos: Names of the videos to score, or None for all predictions.
        convention: Where the last segment of a video ends.
        length_tolerance: Frames by which a prediction and its truth may differ in length.

    Raises:
        InputError: A folder is missing or holds no prediction, predictions or truths are missing (all
            are named), or the two differ in length by more than the tolerance.
    """
    found = find_predictions(predictions)
    names = list(found) if videos is None else list(videos)
    files = _by_name(names, found)
    _require(names, files, predictions, "prediction", "requested video")
    truths = find_truths(names, ground_truth)
    reader = FrameReader(dict.fromkeys([*classes, *background]))
    truth = {name: reader.read(truths[name]) for name in names}

    def pair(prediction: Path, name: str) -> _Pair:
        return _common(prediction, reader.read(prediction), truths[name], truth[name], length_tolerance)

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
            name: {"prediction": _strip(predicted, place), "truth": _strip(true, place)}
            for name, (predicted, true) in pairs.items()
        },
        unsmoothed=scores(pairs | before)[0] if before else None,
    )


@dataclass(frozen=True)
class PredictionComparison:
    """First folder minus second, in points.

    Attributes:
        metrics: Differences by metric. The interval holds for these two models on other videos; it does not
            contain other seeds of their recipes.
        classes: F1 score of the frames of each class in both folders, by name.
    """

    metrics: dict[str, Comparison]
    classes: dict[str, tuple[float, float]]

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

    A difference of up to `margin` points counts as equal.

    Raises:
        InputError: The folders hold different videos.
    """
    for one, other in ((ours, theirs), (theirs, ours)):
        _require(
            list(one.video_scores), other.video_scores, other.predictions, "prediction", "compared video"
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

    Raises:
        InputError: The folder is missing or holds no prediction, or one is not a regular file.
    """
    _require_folder(folder)
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found = {
        path.name: path for path in files if path.suffix != ".txt" and path.is_file() and is_recognition(path)
    }
    labels = {path.stem: path for path in files if path.suffix == ".txt"}
    for path in labels.values():
        require_regular(path)
    found |= labels
    if not found:
        raise InputError(f"{folder}: expected predictions (<video>.txt), but the folder holds none.")
    return dict(sorted(found.items()))


def find_truths(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Return the label file of each video.

    Raises:
        InputError: The folder is missing or lacks some of them (all are named), or one is not a regular file.
    """
    _require_folder(folder)
    truths = _by_name(names, {path.stem: path for path in folder.iterdir() if path.suffix == ".txt"})
    _require(names, truths, folder, "ground truth", "prediction")
    for path in truths.values():
        require_regular(path)
    return truths


def data_set_of(ground_truth: Path) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the classes of the data set that a ground truth belongs to, in order, and its facts.

    Both are empty where the folder is not `groundTruth` beside a `mapping.txt`.

    Raises:
        InputError: `mapping.txt` or `dataset.json` is invalid.
    """
    truths = ground_truth.resolve()
    mapping = truths.with_name("mapping.txt")
    if truths.name != "groundTruth" or not mapping.is_file():
        return (), {}
    return read_mapping(mapping).names, read_dataset_facts(truths.parent)


def require_fitting(
    videos: Iterable[Path], ground_truth: Path, metadata: ModelMetadata, length_tolerance: int
) -> None:
    """Return if predictions of feature files can be scored; files that cannot be read are passed over.

    Raises:
        InputError: A ground truth is missing, has classes that the model lacks, or differs in length by more
            than the tolerance.
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
            _require_length(path, len(labels), files[name], frames, length_tolerance)


def _by_name(names: Sequence[str], files: Mapping[str, Path]) -> dict[str, Path]:
    """Return the file of each video that has one; two Unicode forms of a name are one video."""
    forms = {normal(name): path for name, path in files.items()}
    found = {name: files.get(name) or forms.get(normal(name)) for name in names}
    return {name: path for name, path in found.items() if path is not None}


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder}: {'is not a folder' if folder.exists() else 'no such folder'}.")


def listed(names: Sequence[str]) -> str:
    """Return the first ten names, and how many more there are."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _require(names: Sequence[str], there: Collection[str], folder: Path, kind: str, whose: str) -> None:
    missing = [name for name in names if name not in there]
    if missing:
        raise InputError(f"{folder}: expected the {kind} of every {whose}, but lacks {listed(missing)}.")


def _common(prediction: Path, predicted: Labels, file: Path, truth: Labels, tolerance: int) -> _Pair:
    """Return the frames that prediction and truth of a video have in common; others are warned of."""
    _require_length(prediction, len(predicted), file, len(truth), tolerance)
    if len(predicted) != len(truth):
        _log.warning(
            "%s: %d frames against %d; the common prefix is scored.", file, len(predicted), len(truth)
        )
    length = min(len(predicted), len(truth))
    return predicted[:length], truth[:length]


def _require_length(path: Path, found: int, other: Path, expected: int, tolerance: int) -> None:
    if abs(found - expected) > tolerance:
        raise InputError(f"{path}: expected {expected} frames as in {other}, but found {found} instead.")


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
    pairs: Mapping[str, _Pair], names: Sequence[str], known: int
) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the classes, and their confusion matrix.

    The first `known` classes come in their order, then, in alphabetical order, others that occur.
    """
    predicted, truth = (np.concatenate(side) for side in zip(*pairs.values(), strict=True))
    frames = confusion(predicted, truth, names)
    present = np.flatnonzero(frames.any(axis=0) | frames.any(axis=1)).tolist()
    others = sorted((number for number in present if number >= known), key=names.__getitem__)
    order = [*range(known), *others]
    return tuple(names[number] for number in order), frames[np.ix_(order, order)]
