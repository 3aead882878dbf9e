"""One split of a data set, or what several have in common, checked when opened and read video by video."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from g2l.config import DataConfig, Normalization, Selection
from g2l.datasets.errors import DataError, condense
from g2l.datasets.facts import DATASET_NAME, FACTS_NAME, background_indices, log_once, resolve_config
from g2l.datasets.features import Features
from g2l.datasets.holdout import HoldoutCut, cut_holdout
from g2l.datasets.labels import Labels
from g2l.datasets.layout import ClassMapping, DatasetFolder, common_videos, find_bundles, find_dataset
from g2l.datasets.normalize import Statistics, normalize, pooled_statistics
from g2l.datasets.reading import file_fingerprint
from g2l.datasets.validation import Inspection, VideoFiles, inspect_dataset
from g2l.errors import G2LError, InputError, did_you_mean
from g2l.files import atomic_path, fingerprint

_LOGGER = logging.getLogger("g2l")
_VALIDATE_HINT = "`g2l data validate` lists every error of the data set."
_FACTS = (DATASET_NAME, f"features/{FACTS_NAME}")


@dataclass(frozen=True)
class Video:
    """One video as a network sees it: features (D, T'), shared with the cache, and targets (T',)."""

    name: str
    features: Features
    targets: Labels


@dataclass(frozen=True)
class Partitions:
    """Which videos are trained on, selected on (empty when nothing is selected) and tested on."""

    train: tuple[str, ...]
    holdout: tuple[str, ...]
    test: tuple[str, ...]


class FeatureCache:
    """Features by video name, as many as fit into a budget in MiB; none is dropped for another one."""

    def __init__(self, budget_mb: int) -> None:
        self._left = budget_mb * 2**20
        self._entries: dict[str, Features] = {}

    def get(self, name: str) -> Features | None:
        """Return the features of `name`, or None."""
        return self._entries.get(name)

    def put(self, name: str, features: Features) -> Features:
        """Return `features`, and keep them where there is room."""
        if features.nbytes <= self._left:
            self._entries[name] = features
            self._left -= features.nbytes
        return features


class SharedFeatures:
    """Features by video name in mapped files of a folder of their own. Safe for several processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mapped: dict[str, Features] = {}

    def get(self, name: str) -> Features | None:
        """Return the features of `name`, memory-mapped, or None if no process has put them there."""
        if name not in self._mapped:
            try:
                self._mapped[name] = self._map(name)
            except OSError:
                return None
        return self._mapped[name]

    def put(self, name: str, features: Features) -> Features:
        """Return `features` memory-mapped after writing them, unless they are, or cannot be written."""
        if not isinstance(features, np.memmap):
            try:
                with atomic_path(self._path(name)) as temporary, temporary.open("wb") as stream:
                    np.lib.format.write_array(stream, features, allow_pickle=False)
                features = self._map(name)
            except (G2LError, OSError) as error:
                _LOGGER.warning("video %r cannot be shared between processes: %s", name, error)
                return features
        self._mapped[name] = features
        return features

    def _map(self, name: str) -> Any:
        return np.load(self._path(name), mmap_mode="c", allow_pickle=False)

    def _path(self, name: str) -> Path:
        return self._folder / f"{fingerprint(name)}.npy"


class SegmentationDataset:
    """One split of a data set. Not safe for several threads.

    Attributes:
        config: How it is read, with the facts of the data set in the place of settings that were not given.
        fps: Frames per second of the feature files, or None.
        notices: What was odd about the data: one sentence each.
        statistics: Of the training frames under `normalize` train, once `standardized_on` was called.
    """

    def __init__(
        self,
        config: DataConfig,
        folder: DatasetFolder,
        inspection: Inspection,
        background: tuple[int, ...],
        *,
        quiet: bool = False,
    ) -> None:
        self.config = config
        self.sample_rate: int = config.sample_rate or 1
        self.normalize: Normalization = config.normalize or Normalization.NONE
        self.background: tuple[str, ...] = config.background or ()
        self.fps: float | None = config.fps
        self.mapping: ClassMapping = inspection.mapping
        self.feature_dim: int = inspection.feature_dim
        self.background_indices: tuple[int, ...] = background
        self.notices: tuple[str, ...] = tuple(map(str, inspection.issues))
        self.statistics: Statistics | None = None
        self._folder = folder
        self._inspection = inspection
        self._quiet = quiet
        self._train, self._test = common_videos([inspection.bundles[fold] for fold in config.folds])
        self._cache: FeatureCache | SharedFeatures = FeatureCache(config.cache_mb)

    @classmethod
    def open(cls, config: DataConfig, *, quiet: bool = False) -> Self:
        """Open a split after checking the header of every feature file and all labels.

        Settings that are None come from `dataset.json`. Unless `quiet`, notices are logged once per process.
        InputError, naming file and line, if anything is missing or invalid.
        """
        given = config.validate()
        config = resolve_config(given, quiet=quiet).validate()
        folder = find_dataset(config)
        for fold in config.folds:
            find_bundles(folder, fold)
        inspection = inspect_dataset(folder, config.folds, config.length_tolerance)
        for error in inspection.issues:
            if error.severity == "error":
                raise DataError(error.path, error.line, error.reason, hint=error.hint or _VALIDATE_HINT)
        if not quiet:
            for notice, others in condense(inspection.issues, 1):
                more = f" {others} more like it: `g2l data validate` lists all." if others else ""
                log_once(f"{notice}{more}")
        background = background_indices(given, inspection.mapping)
        found = cls(config, folder, inspection, background, quiet=quiet)
        if config.common and len(found._train) < 2:  # of which one is held out
            raise InputError(
                f"{folder.path / 'splits'}: expected at least 2 videos that all of the folds "
                f"{config.fold_names} train on and none tests on, found {len(found._train)}; any other video "
                "would show the search what a fold is tested on.",
                hint="search in each fold by itself with --search-per-fold, or choose fewer folds.",
            )
        return found

    def partitions(self, selection: Selection, rotation: int = 0) -> Partitions:
        """Return who is on which side: `best` cuts a hold-out from the train bundle, `last` trains on all."""
        if selection is Selection.LAST:
            return Partitions(self._train, (), self._test)
        cut = self._cut(rotation)
        return Partitions(cut.train, cut.holdout, self._test)

    @property
    def rotations(self) -> int:
        """Number of hold-outs until every training video was held out."""
        return self._cut().rotations

    @property
    def holdout_notice(self) -> str | None:
        """A sentence where the hold-out is not cut as it should be, else None."""
        return self._cut().notice

    def standardized_on(self, names: Collection[str]) -> Self:
        """Return this data set with statistics of the training videos `names` if `normalize` is train."""
        if self.normalize is not Normalization.TRAIN:
            return self
        other = copy(self)
        other.statistics = pooled_statistics(self._read(name) for name in names)
        other._cache = FeatureCache(self.config.cache_mb)
        return other

    def shared_in(self, folder: Path) -> Self:
        """Return this data set, whose videos are read through maps that processes share, not kept in RAM.

        Those that are not stored as they are used are put into `folder` by the first process that needs them.
        """
        statistics = self.statistics and (self.statistics.mean.tolist(), self.statistics.std.tolist())
        other = copy(self)
        other._cache = SharedFeatures(folder / fingerprint([self.fingerprint, statistics]))
        return other

    def load(self, name: str) -> Video:
        """Return one video, from RAM or mapped where the cache has it; InputError if it is not finite."""
        targets = self._files(name).labels[:: self.sample_rate]
        features = self._cache.get(name)
        if features is None:
            features = self._cache.put(name, self._prepare(name))
        return Video(name, features, targets)

    def ground_truth(self, name: str) -> Labels:
        """Return the class index of every frame at full rate, (T,): what predictions are compared with."""
        return self._files(name).labels

    def num_frames(self, name: str) -> int:
        """Return T', the frames of a video after subsampling, without reading it."""
        return -(-len(self._files(name).labels) // self.sample_rate)

    def longest(self, names: Iterable[str]) -> int:
        """Return the largest T' of some videos, 0 for none."""
        return max(map(self.num_frames, names), default=0)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits for all that training and scoring depend on, the same in every folder.

        All labels count; of features, see `file_fingerprint`.
        """
        try:
            holdout: tuple[str, ...] = self._cut().holdout
        except InputError:  # a single training video, which has no hold-out
            holdout = ()
        files = self._inspection.videos
        return fingerprint(
            {
                "classes": self.mapping.names,
                "background": self.background_indices,
                "sample_rate": self.sample_rate,
                "normalize": self.normalize.value,
                "train": self._train,
                "test": self._test,
                "holdout": holdout,
                "labels": {
                    name: hashlib.sha256(of.labels.astype("<i8").tobytes()).hexdigest()
                    for name, of in files.items()
                },
                "features": {
                    name: [self.files[of.features.path], of.features.frames_first]
                    for name, of in files.items()
                },
            }
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """Facts that a structure records of the data that it was searched on."""
        split = self.config.as_dict()["split"]
        return {"dataset": self.config.dataset, "split": split, "data": self.fingerprint}

    @cached_property
    def files(self) -> dict[Path, dict[str, Any]]:
        """Size and SHA-256 (see `file_fingerprint`) of every file that was read."""
        folder, videos = self._folder, self._inspection.videos
        facts = [path for name in _FACTS if (path := folder.path / name).is_file()]
        features = [files.features.path for files in videos.values()]
        labels = [folder.ground_truth(name) for name in videos]
        bundles = [path for fold in self.config.folds for path in folder.bundles(fold)]
        paths = (folder.mapping, *facts, *bundles, *features, *labels)
        return {path: file_fingerprint(path) for path in paths}

    def _cut(self, rotation: int = 0) -> HoldoutCut:
        config = self.config
        cut = cut_holdout(self._train, config.holdout_fraction, config.seed, config.group_pattern, rotation)
        if cut.notice and not self._quiet:
            log_once(f"{config.dataset}: {cut.notice}")
        return cut

    def _read(self, name: str) -> Features:
        files = self._files(name)
        return files.features.read(self.sample_rate, len(files.labels))

    def _prepare(self, name: str) -> Features:
        files = self._files(name)
        unchanged = self.normalize is Normalization.NONE and self.sample_rate == 1
        if isinstance(self._cache, SharedFeatures) and unchanged:
            stored = files.features.map_as_read() if files.features.num_frames == len(files.labels) else None
            if stored is not None:
                return stored
        mean, std = (self.statistics.mean, self.statistics.std) if self.statistics else (None, None)
        return normalize(self._read(name), self.normalize, mean, std)

    def _files(self, name: str) -> VideoFiles:
        try:
            return self._inspection.videos[name]
        except KeyError:
            message = f"video {name!r} is not in split {self.config.fold_names} of {self.config.dataset}."
            raise InputError(message, hint=did_you_mean(name, list(self._inspection.videos))) from None
