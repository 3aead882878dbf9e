"""Decoded videos: kept in RAM, or in files that all processes of a machine map."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from g2l.datasets.features import Features
from g2l.errors import G2LError
from g2l.files import atomic_path, fingerprint

_LOGGER = logging.getLogger("g2l")


class FeatureCache:
    """Features by video name, as many as fit into a budget in MiB.

    None is dropped for another one: an epoch reads each video once, so those that are kept are as useful.
    """

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
    """Features by video name in files of a folder of their own. Safe for several processes.

    Mapped files do not count as memory of a process: the system reads and drops their pages as needed.
    """

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

    def _map(self, name: str) -> Features:
        mapped: Features = np.load(self._path(name), mmap_mode="c", allow_pickle=False)
        return mapped

    def _path(self, name: str) -> Path:
        return self._folder / f"{fingerprint(name)}.npy"  # a name may hold what a file name must not
