"""Checks of a data set: headers and labels when a split is opened, every issue and value by validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from g2l.config import DataConfig
from g2l.datasets.errors import DataError, DataWarning, attempt
from g2l.datasets.facts import read_feature_facts, resolve_config
from g2l.datasets.features import FeatureFile, feature_axis, open_features
from g2l.datasets.holdout import cut_holdout
from g2l.datasets.labels import Labels, parse_labels
from g2l.datasets.layout import (
    ClassMapping,
    DatasetFolder,
    both_sides,
    find_bundles,
    find_dataset,
    parse_bundle,
    parse_mapping,
)
from g2l.datasets.reading import normal, read_lines
from g2l.errors import InputError, did_you_mean
from g2l.progress import NullProgress, Progress

Mention = tuple[Path, int]
"""The first bundle and line that name a video."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class VideoFiles:
    """The two files of one video.

    Attributes:
        features: Header of the feature file, oriented.
        labels: Class indices, cut to the common prefix of features and labels, (T,).
    """

    features: FeatureFile
    labels: Labels


@dataclass
class Inspection:
    """What was found; complete only when no issue is an error.

    Attributes:
        mapping: Class names.
        bundles: Train and test videos of each split.
        videos: Files of each video in any bundle.
        feature_dim: D, or 0 when no feature file is readable.
        differences: Frames by which features and labels of a video differ, by the warning that says so.
        issues: Everything wrong or odd, in the order found.
    """

    mapping: ClassMapping = field(default_factory=lambda: ClassMapping(()))
    bundles: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    videos: dict[str, VideoFiles] = field(default_factory=dict)
    feature_dim: int = 0
    differences: dict[DataError, int] = field(default_factory=dict)
    issues: list[DataError] = field(default_factory=list)

    def warn(self, path: Path, message: str) -> None:
        """Add a warning about a file or folder as a whole."""
        self.issues.append(DataWarning(path, None, message))

    def notices(self, path: Path) -> list[str]:
        """Return what was odd, the videos whose features and labels differ in length as one sentence.

        Args:
            path: Of the data set.
        """
        if len(self.differences) < 2:
            return [str(issue) for issue in self.issues]
        others = [str(issue) for issue in self.issues if issue not in self.differences]
        low, high = min(self.differences.values()), max(self.differences.values())
        span = f"{low} frame{'s'[low == 1 :]}" if low == high else f"{low} to {high} frames"
        return [
            f"{path}: {len(self.differences)} videos: features and labels differ by {span}; the common "
            "prefix is used (`g2l data validate` lists the videos).",
            *others,
        ]

    def attempt(self, read: Callable[[], _T]) -> _T | None:
        """Return what `read` returns, or None with its issue added when it raises one."""
        return attempt(read, self.issues)


def inspect_dataset(folder: DatasetFolder, splits: Sequence[int], length_tolerance: int) -> Inspection:
    """Return what the splits refer to and every issue of it; no feature values are read.

    Args:
        folder: The data set.
        splits: Numbers of the splits to check.
        length_tolerance: Frames by which features and labels of a video may differ.
    """
    found = Inspection()
    mapping = found.attempt(partial(parse_mapping, folder.mapping, found.issues))
    found.mapping = mapping or found.mapping
    mentions: dict[str, Mention] = {}
    for split in splits:
        bundles = found.attempt(partial(_inspect_split, folder, split, mentions, found.issues))
        if bundles is not None:
            found.bundles[split] = bundles
    _inspect_videos(folder, mentions, length_tolerance, found)
    for split, (train, _) in found.bundles.items():
        _check_train_classes(folder.bundles(split)[0], train, found)
    return found


def _inspect_split(
    folder: DatasetFolder, split: int, mentions: dict[str, Mention], issues: list[DataError]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    train_path, test_path = find_bundles(folder, split)
    train, test = parse_bundle(train_path, issues), parse_bundle(test_path, issues)
    for path, lines in ((train_path, train), (test_path, test)):
        for name, line in lines.items():
            mentions.setdefault(name, (path, line))
    issues.extend(both_sides(train_path, train, test_path, test))
    return tuple(train), tuple(test)


def _inspect_videos(
    folder: DatasetFolder, mentions: Mapping[str, Mention], tolerance: int, found: Inspection
) -> None:
    headers: dict[str, FeatureFile] = {}
    labels: dict[str, Labels] = {}
    for name, mention in mentions.items():
        _inspect_video(folder, name, mention, found, headers, labels)
    if not headers:
        return
    oriented = _orient(folder, headers, {name: len(of) for name, of in labels.items()}, found)
    for name, file in oriented.items():
        if name in labels and _lengths_agree(folder, file, labels[name], name, tolerance, found):
            found.videos[name] = VideoFiles(file, labels[name][: file.num_frames])


def _inspect_video(
    folder: DatasetFolder,
    name: str,
    mention: Mention,
    found: Inspection,
    headers: dict[str, FeatureFile],
    labels: dict[str, Labels],
) -> None:
    features_path, labels_path = folder.features(name), folder.ground_truth(name)
    for path in (features_path, labels_path):
        if not path.exists():
            known = sorted(normal(item.stem) for item in path.parent.glob(f"*{path.suffix}"))
            message = f"video {name!r} has no {path.parent.name}/{path.name}."
            found.issues.append(DataError(*mention, message, hint=did_you_mean(name, known)))
    header = found.attempt(partial(open_features, features_path)) if features_path.exists() else None
    if header is not None:
        headers[name] = header
    if len(found.mapping) and labels_path.exists():
        read = found.attempt(partial(parse_labels, labels_path, found.mapping, found.issues))
        if read is not None and len(read):
            labels[name] = read


def _orient(
    folder: DatasetFolder, headers: Mapping[str, FeatureFile], lengths: Mapping[str, int], found: Inspection
) -> dict[str, FeatureFile]:
    found.feature_dim, frames_first = feature_axis(headers, lengths)
    oriented = {}
    for name, header in headers.items():
        file = found.attempt(partial(header.oriented, found.feature_dim, frames_first=frames_first))
        if file is not None:
            oriented[name] = file
    turned = [file for file in oriented.values() if file.frames_first]
    if turned:
        found.warn(
            folder.path / "features",
            f"{len(turned)} of {len(headers)} files are stored as frames × feature_dim and read turned "
            f"round, feature_dim being {found.feature_dim} ({turned[0].path.name}: {turned[0].notice})",
        )
    return oriented


def _lengths_agree(
    folder: DatasetFolder, file: FeatureFile, labels: Labels, name: str, tolerance: int, found: Inspection
) -> bool:
    difference = abs(file.num_frames - len(labels))
    lengths = f"{file.num_frames} frames, but {folder.ground_truth(name)} has {len(labels)} labels"
    if difference > tolerance:
        message = f"has {lengths}; they may differ by at most {tolerance}."
        found.issues.append(DataError(file.path, None, message))
        return False
    if difference:
        message = f"has {lengths}; the first {min(file.num_frames, len(labels))} are used."
        issue = DataWarning(file.path, None, message)
        found.differences[issue] = difference
        found.issues.append(issue)
    return True


def _check_train_classes(bundle: Path, train: Sequence[str], found: Inspection) -> None:
    """Warn of classes that a network cannot learn because no training frame shows them."""
    counts = np.zeros(len(found.mapping), dtype=np.int64)
    for name in train:
        if name in found.videos:
            labels = found.videos[name].labels
            counts += np.bincount(labels[labels >= 0], minlength=len(counts))
    absent = [repr(name) for name, count in zip(found.mapping.names, counts, strict=True) if not count]
    if absent and all(name in found.videos for name in train):
        found.warn(bundle, f"no training frame is of class {', '.join(absent)}.")


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """What a data set holds, as far as it can be read.

    Attributes:
        videos: Videos in any bundle whose files fit together.
        frames: Their frames.
        feature_dim: D, or 0 when no feature file is readable.
        longest: Frames of the longest video.
        class_counts: Frames of each class, in index order.
        splits: Number of train and of test videos of each split.
        fps: Frames per second of the features, or None.
        extraction: How the features were made, as `features.json` says it, or None.
    """

    videos: int
    frames: int
    feature_dim: int
    longest: int
    class_counts: Mapping[str, int]
    splits: Mapping[int, tuple[int, int]]
    fps: float | None = None
    extraction: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ValidationReport:
    """Faults in the order found, and facts."""

    issues: tuple[DataError, ...]
    facts: DatasetFacts

    @property
    def errors(self) -> tuple[DataError, ...]:
        """Faults that stop the reading of some split."""
        return tuple(issue for issue in self.issues if issue.severity == "error")

    @property
    def warnings(self) -> tuple[DataError, ...]:
        """Faults that do not."""
        return tuple(issue for issue in self.issues if issue.severity == "warning")


def validate_dataset(config: DataConfig, progress: Progress | None = None) -> ValidationReport:
    """Check all splits of a data set and every value in it; no issue hides another.

    Args:
        config: Names the data set; its split does not matter, its tolerance and hold-out settings do.
        progress: Told of every video read.

    Raises:
        InputError: The configuration is out of range, or there is no such data set.
    """
    config.validate()
    folder = find_dataset(config)
    splits = folder.splits()
    found = inspect_dataset(folder, splits, config.length_tolerance)
    if not splits:
        found.issues.append(
            DataError(folder.path / "splits", None, "expected bundles of at least one split.")
        )
    _check_values(folder, found, progress or NullProgress())
    resolved = found.attempt(partial(resolve_config, config))
    _check_holdouts(folder, found, resolved or config)
    _check_unused(folder, found)
    extraction = None if resolved is None else read_feature_facts(folder.path)
    fps = None if resolved is None else resolved.fps
    return ValidationReport(tuple(found.issues), _facts(found, fps, extraction))


def _check_values(folder: DatasetFolder, found: Inspection, progress: Progress) -> None:
    """Read all features, and look for what reading labels passes over."""
    with progress.task("reading features", len(found.videos)) as task:
        for name, files in found.videos.items():
            features = found.attempt(files.features.read)
            if features is not None and features.shape[1] > 1 and (np.ptp(features, axis=1) == 0).all():
                found.warn(files.features.path, "all frames have the same features.")
            lines = "\n".join(read_lines(folder.ground_truth(name))).rstrip().split("\n")
            if "" in (stripped := [line.strip() for line in lines]):
                message = "is blank and skipped, which moves all later labels one frame ahead."
                line = stripped.index("") + 1
                found.issues.append(DataWarning(folder.ground_truth(name), line, message))
            task.advance()


def _check_holdouts(folder: DatasetFolder, found: Inspection, config: DataConfig) -> None:
    for split, (train, _) in found.bundles.items():
        bundle = folder.bundles(split)[0]
        try:
            cut = cut_holdout(train, config.holdout_fraction, config.seed, config.group_pattern)
        except InputError as error:
            found.warn(bundle, error.message)
        else:
            if cut.notice:
                found.warn(bundle, cut.notice)


def _check_unused(folder: DatasetFolder, found: Inspection) -> None:
    named = {name for sides in found.bundles.values() for side in sides for name in side}
    for path, suffix in ((folder.path / "features", ".npy"), (folder.path / "groundTruth", ".txt")):
        unused = sorted(file.name for file in path.glob(f"*{suffix}") if normal(file.stem) not in named)
        if unused:
            found.warn(path, f"{len(unused)} files are in no bundle ({unused[0]}, for example).")


def _facts(found: Inspection, fps: float | None, extraction: Mapping[str, Any] | None) -> DatasetFacts:
    counts = np.zeros(len(found.mapping), dtype=np.int64)
    for files in found.videos.values():
        counts += np.bincount(files.labels[files.labels >= 0], minlength=len(counts))
    lengths = [len(files.labels) for files in found.videos.values()]
    return DatasetFacts(
        videos=len(lengths),
        frames=sum(lengths),
        feature_dim=found.feature_dim,
        longest=max(lengths, default=0),
        class_counts=dict(zip(found.mapping.names, map(int, counts), strict=True)),
        splits={split: (len(train), len(test)) for split, (train, test) in found.bundles.items()},
        fps=fps,
        extraction=extraction,
    )
