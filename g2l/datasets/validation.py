"""The data doctor: every fault of a data set at once, all splits and all values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from g2l.config import DataConfig
from g2l.datasets.faults import Fault, Severity
from g2l.datasets.feature_facts import read_feature_facts
from g2l.datasets.holdout import cut_holdout
from g2l.datasets.inspection import Inspection, inspect_dataset
from g2l.datasets.layout import DatasetFolder, find_dataset
from g2l.datasets.text_lines import read_lines
from g2l.errors import InputError
from g2l.progress import NullProgress, Progress


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
        extraction: How the features were made, as `features.json` says it, or None.
    """

    videos: int
    frames: int
    feature_dim: int
    longest: int
    class_counts: Mapping[str, int]
    splits: Mapping[int, tuple[int, int]]
    extraction: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ValidationReport:
    """Faults in the order found, and facts."""

    faults: tuple[Fault, ...]
    facts: DatasetFacts

    @property
    def errors(self) -> tuple[Fault, ...]:
        """Faults that stop the reading of some split."""
        return tuple(fault for fault in self.faults if fault.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """Faults that do not."""
        return tuple(fault for fault in self.faults if fault.severity is Severity.WARNING)


def validate_dataset(config: DataConfig, progress: Progress | None = None) -> ValidationReport:
    """Check all splits of a data set and every value in it; no fault hides another.

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
        found.faults.append(Fault(folder.path / "splits", None, "expected bundles of at least one split."))
    _check_values(folder, found, progress or NullProgress())
    _check_holdouts(folder, found, config)
    _check_unused(folder, found)
    extraction = found.attempt(partial(read_feature_facts, folder.path))
    return ValidationReport(tuple(found.faults), _facts(found, extraction))


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
                found.faults.append(Fault(folder.ground_truth(name), line, message, Severity.WARNING))
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
        unused = sorted(file.name for file in path.glob(f"*{suffix}") if file.stem not in named)
        if unused:
            found.warn(path, f"{len(unused)} files are in no bundle ({unused[0]}, for example).")


def _facts(found: Inspection, extraction: Mapping[str, Any] | None) -> DatasetFacts:
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
        extraction=extraction,
    )
