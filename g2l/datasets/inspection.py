"""Checks every file that splits refer to, headers and labels, before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from g2l.datasets.bundle import parse_bundle
from g2l.datasets.faults import Fault, Severity, attempt
from g2l.datasets.features import FeatureFile, open_features
from g2l.datasets.labels import Labels, parse_labels
from g2l.datasets.layout import DatasetFolder, find_bundles
from g2l.datasets.mapping import ClassMapping, parse_mapping
from g2l.datasets.orientation import feature_axis
from g2l.errors import did_you_mean

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
    """What was found; complete only when no fault is an error.

    Attributes:
        mapping: Class names.
        bundles: Train and test videos of each split.
        videos: Files of each video in any bundle.
        feature_dim: D, or 0 when no feature file is readable.
        faults: Everything wrong or odd, in the order found.
    """

    mapping: ClassMapping = field(default_factory=lambda: ClassMapping(()))
    bundles: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    videos: dict[str, VideoFiles] = field(default_factory=dict)
    feature_dim: int = 0
    faults: list[Fault] = field(default_factory=list)

    def warn(self, path: Path, message: str) -> None:
        """Add a warning about a file or folder as a whole."""
        self.faults.append(Fault(path, None, message, Severity.WARNING))

    def attempt(self, read: Callable[[], _T]) -> _T | None:
        """Return what `read` returns, or None with its fault added when it raises one."""
        return attempt(read, self.faults)


def inspect_dataset(folder: DatasetFolder, splits: Sequence[int], length_tolerance: int) -> Inspection:
    """Return what the splits refer to and every fault of it; no feature values are read.

    Args:
        folder: The data set.
        splits: Numbers of the splits to check.
        length_tolerance: Frames by which features and labels of a video may differ.
    """
    found = Inspection()
    mapping = found.attempt(partial(parse_mapping, folder.mapping, found.faults))
    found.mapping = mapping or found.mapping
    mentions: dict[str, Mention] = {}
    for split in splits:
        bundles = found.attempt(partial(_inspect_split, folder, split, mentions, found.faults))
        if bundles is not None:
            found.bundles[split] = bundles
    _inspect_videos(folder, mentions, length_tolerance, found)
    for split, (train, _) in found.bundles.items():
        _check_train_classes(folder.bundles(split)[0], train, found)
    return found


def _inspect_split(
    folder: DatasetFolder, split: int, mentions: dict[str, Mention], faults: list[Fault]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    train_path, test_path = find_bundles(folder, split)
    train, test = parse_bundle(train_path, faults), parse_bundle(test_path, faults)
    for path, lines in ((train_path, train), (test_path, test)):
        for name, line in lines.items():
            mentions.setdefault(name, (path, line))
    for name, line in test.items():
        if name in train:
            message = (
                f"test video {name!r} must not be trained on, but is in {train_path.name}:{train[name]}."
            )
            faults.append(Fault(test_path, line, message))
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
            known = sorted(item.stem for item in path.parent.glob(f"*{path.suffix}"))
            message = f"video {name!r} has no {path.parent.name}/{path.name}."
            found.faults.append(Fault(*mention, message, hint=did_you_mean(name, known)))
    header = found.attempt(partial(open_features, features_path)) if features_path.exists() else None
    if header is not None:
        headers[name] = header
    if len(found.mapping) and labels_path.exists():
        read = found.attempt(partial(parse_labels, labels_path, found.mapping, found.faults))
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
        found.faults.append(Fault(file.path, None, message))
        return False
    if difference:
        found.warn(file.path, f"has {lengths}; the first {min(file.num_frames, len(labels))} are used.")
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
