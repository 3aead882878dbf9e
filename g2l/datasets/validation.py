"""Checks of a data set: headers and labels when a split is opened, every issue and value by validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.config import DataConfig, Normalization
from g2l.datasets.errors import DataError, DataWarning, attempt
from g2l.datasets.facts import background_indices, read_feature_facts, resolve_config
from g2l.datasets.features import FeatureFile, feature_axis, open_features
from g2l.datasets.holdout import cut_holdout
from g2l.datasets.labels import Labels, parse_labels
from g2l.datasets.layout import (
    ClassMapping,
    DatasetFolder,
    find_bundles,
    find_dataset,
    parse_mapping,
    parse_split,
)
from g2l.datasets.reading import normal, present, read_lines
from g2l.errors import InputError, did_you_mean
from g2l.progress import NullProgress, Progress

LARGEST_RATIO, LARGEST_SIZE = 30.0, 30.0
"""Ratio of the standard deviations of features, and size of their values, above which to standardise them."""

Mention = tuple[Path, int]
"""The first bundle and line that name a video."""


@dataclass(frozen=True)
class VideoFiles:
    """Header of the oriented feature file, and labels (T,), cut to the common prefix of both."""

    features: FeatureFile
    labels: Labels


@dataclass
class Inspection:
    """Contents of some splits; complete only when no issue is an error."""

    folder: DatasetFolder
    tolerance: int  # frames by which features and labels of a video may differ
    mapping: ClassMapping = field(default_factory=lambda: ClassMapping(()))
    bundles: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    videos: dict[str, VideoFiles] = field(default_factory=dict)
    feature_dim: int = 0  # 0 when no feature file is readable
    issues: list[DataError] = field(default_factory=list)

    def warn(self, path: Path, message: str) -> None:
        """Add a warning about a file or folder as a whole."""
        self.issues.append(DataWarning(path, None, message))

    def count_classes(self, names: Iterable[str]) -> npt.NDArray[np.int64]:
        """Return the labelled frames of each class in some videos, (C,)."""
        counts = np.zeros(len(self.mapping), dtype=np.int64)
        for name in names:
            if name in self.videos:
                labels = self.videos[name].labels
                counts += np.bincount(labels[labels >= 0], minlength=len(counts))
        return counts


def inspect_dataset(folder: DatasetFolder, splits: Sequence[int], length_tolerance: int) -> Inspection:
    """Return the files that the splits refer to and all issues of them; no feature values are read."""
    found = Inspection(folder, length_tolerance)
    found.mapping = (
        attempt(partial(parse_mapping, folder.mapping, found.issues), found.issues) or found.mapping
    )
    mentions: dict[str, Mention] = {}
    for split in splits:
        attempt(partial(_inspect_split, found, split, mentions), found.issues)
    _inspect_videos(found, mentions)
    for split, (train, _) in found.bundles.items():
        # A network cannot learn classes that no training frame shows.
        counts = found.count_classes(train)
        absent = [repr(name) for name, count in zip(found.mapping.names, counts, strict=True) if not count]
        if train and absent and all(name in found.videos for name in train):
            found.warn(folder.bundles(split)[0], f"no training frame is of class {', '.join(absent)}.")
    return found


def _inspect_split(found: Inspection, split: int, mentions: dict[str, Mention]) -> None:
    paths = find_bundles(found.folder, split)
    train, test = parse_split(paths, found.issues)
    for path, lines in zip(paths, (train, test), strict=True):
        for name, line in lines.items():
            mentions.setdefault(name, (path, line))
    if train and not test and present(paths[1]):
        found.warn(paths[1], f"split {split} has no test videos: `g2l train` can use it, without scores.")
    found.bundles[split] = tuple(train), tuple(test)


def _inspect_videos(found: Inspection, mentions: Mapping[str, Mention]) -> None:
    headers: dict[str, FeatureFile] = {}
    labels: dict[str, Labels] = {}
    for name, mention in mentions.items():
        features_path = attempt(partial(_find, name, found.folder.features, mention), found.issues)
        labels_path = attempt(partial(_find, name, found.folder.ground_truth, mention), found.issues)
        if features_path and (header := attempt(partial(open_features, features_path), found.issues)):
            headers[name] = header
        if labels_path and len(found.mapping):
            read = attempt(partial(parse_labels, labels_path, found.mapping, found.issues), found.issues)
            if read is not None and len(read):
                labels[name] = read
    if not headers:
        return
    found.feature_dim, frames_first = feature_axis(headers, {name: len(of) for name, of in labels.items()})
    turned = []
    for name, header in headers.items():
        orient = partial(header.oriented, found.feature_dim, frames_first=frames_first)
        if (file := attempt(orient, found.issues)) is None:
            continue
        if file.frames_first:
            turned.append(file)
        if name in labels and _lengths_agree(found, file, labels[name], name):
            found.videos[name] = VideoFiles(file, labels[name][: file.num_frames])
    if turned:
        found.warn(
            found.folder.path / "features",
            f"{len(turned)} of {len(headers)} files are stored as frames × feature_dim and read turned "
            f"round, feature_dim being {found.feature_dim} ({turned[0].path.name}: {turned[0].notice})",
        )


def _find(name: str, place: Callable[[str], Path], mention: Mention) -> Path:
    """Return the file of a video, or raise DataError with those of similar names."""
    path = place(name)
    if present(path):
        return path
    known = sorted(normal(item.stem) for item in path.parent.glob(f"*{path.suffix}"))
    message = f"video {name!r} has no {path.parent.name}/{path.name}."
    raise DataError(*mention, message, hint=did_you_mean(name, known))


def _lengths_agree(found: Inspection, file: FeatureFile, labels: Labels, name: str) -> bool:
    difference = abs(file.num_frames - len(labels))
    lengths = f"{file.num_frames} frames, but {found.folder.ground_truth(name)} has {len(labels)} labels"
    if difference > found.tolerance:
        message = f"has {lengths}; they may differ by at most {found.tolerance}."
        found.issues.append(DataError(file.path, None, message))
        return False
    if difference:
        found.warn(file.path, f"has {lengths}; the first {min(file.num_frames, len(labels))} are used.")
    return True


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """Contents of a data set, as far as they can be read."""

    videos: int
    frames: int
    feature_dim: int
    longest: int  # frames
    class_counts: Mapping[str, int]  # frames of each class, in index order
    splits: Mapping[int, tuple[int, int]]  # numbers of train and of test videos
    fps: float | None = None
    extraction: Mapping[str, Any] | None = None  # how the features were made, as in `features.json`


@dataclass(frozen=True)
class ValidationReport:
    """Faults in the order found, and facts."""

    issues: tuple[DataError, ...]
    facts: DatasetFacts

    @property
    def errors(self) -> tuple[DataError, ...]:
        """Issues that stop the reading of some split."""
        return tuple(issue for issue in self.issues if issue.severity == "error")


def validate_dataset(config: DataConfig, progress: Progress | None = None) -> ValidationReport:
    """Check all splits of a data set, whatever `config.split` is, and all values; no error hides another."""
    config.validate()
    folder = find_dataset(config)
    splits = folder.splits()
    found = inspect_dataset(folder, splits, config.length_tolerance)
    if not splits:
        found.issues.append(
            DataError(folder.path / "splits", None, "expected bundles of at least one split.")
        )
    resolved = attempt(partial(resolve_config, config), found.issues)
    _check_values(found, progress or NullProgress(), None if resolved is None else resolved.normalize)
    if resolved is not None and len(found.mapping):
        attempt(partial(background_indices, config, found.mapping), found.issues)
    _check_holdouts(found, resolved or config)
    named = {name for sides in found.bundles.values() for side in sides for name in side}
    for path, suffix in ((folder.path / "features", ".npy"), (folder.path / "groundTruth", ".txt")):
        unused = sorted(file.name for file in path.glob(f"*{suffix}") if normal(file.stem) not in named)
        if unused:
            found.warn(path, f"{len(unused)} files are in no bundle ({unused[0]}, for example).")
    lengths = [len(files.labels) for files in found.videos.values()]
    counts = map(int, found.count_classes(found.videos))
    facts = DatasetFacts(
        videos=len(lengths),
        frames=sum(lengths),
        feature_dim=found.feature_dim,
        longest=max(lengths, default=0),
        class_counts=dict(zip(found.mapping.names, counts, strict=True)),
        splits={split: (len(train), len(test)) for split, (train, test) in found.bundles.items()},
        fps=None if resolved is None else resolved.fps,
        extraction=None if resolved is None else read_feature_facts(folder.path),
    )
    return ValidationReport(tuple(found.issues), facts)


def _check_values(found: Inspection, progress: Progress, normalize: Normalization | None) -> None:
    frames, sums, squares = 0, np.zeros(1), np.zeros(1)
    with progress.task("reading features", len(found.videos)) as task:
        for name, files in found.videos.items():
            features = attempt(files.features.read, found.issues)
            if features is not None and features.shape[1] > 1 and (np.ptp(features, axis=1) == 0).all():
                found.warn(files.features.path, "all frames have the same features.")
            if features is not None:
                frames += features.shape[1]
                sums = sums + features.sum(axis=1, dtype=np.float64)
                squares = squares + np.square(features, dtype=np.float64).sum(axis=1)
            path = found.folder.ground_truth(name)
            lines = [line.strip() for line in read_lines(path)]
            while not lines[-1]:
                lines.pop()
            if "" in lines:
                message = "is blank and skipped, which moves all later labels one frame ahead."
                found.issues.append(DataWarning(path, lines.index("") + 1, message))
            task.advance()
    if frames and normalize in (None, Normalization.NONE):
        means = sums / frames
        deviations = np.sqrt(np.maximum(squares / frames - np.square(means), 0))
        low, high = np.quantile(deviations[deviations > 0], (0.05, 0.95)) if deviations.any() else (1.0, 1.0)
        size = float(np.quantile(np.sqrt(squares / frames), 0.95))
        if high > LARGEST_RATIO * low or size > LARGEST_SIZE:
            found.warn(
                found.folder.path / "features",
                f"features have standard deviations from {low:.3g} to {high:.3g} and values of about "
                f"{size:.3g}: standardise them with `--normalize train`.",
            )


def _check_holdouts(found: Inspection, config: DataConfig) -> None:
    for split, (train, _) in found.bundles.items():
        try:
            notice = cut_holdout(train, config.holdout_fraction, config.seed, config.group_pattern).notice
        except InputError as error:
            notice = error.message
        if notice:
            found.warn(found.folder.bundles(split)[0], notice)
