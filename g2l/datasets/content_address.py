"""Fingerprints: of a data set as training and scoring see it, and of every file that was read.

The content address covers what training and scoring depend on, nothing else. It is the same on every machine
and in every folder. All labels count. Of features, the shape and type count, and the bytes: all of them up to
1 MiB a video, above that 32 evenly spread blocks of 4 KiB, because reading 30 GB before a search would take
minutes. A change in a large file that misses every block is not seen.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from g2l.datasets.features import FeatureFile, Stamp
from g2l.datasets.reading import open_regular, reading
from g2l.datasets.validation import VideoFiles
from g2l.files import fingerprint
from g2l.machine import usable_cores

WHOLE_BYTES = 2**20
"""Files up to this size are hashed whole."""
BLOCKS = 32
BLOCK_BYTES = 4096
_hashed: dict[Path, tuple[Stamp, str]] = {}
"""Digest of each file by its stamp: a file that did not change is hashed once in a process."""


def content_address(videos: Mapping[str, VideoFiles], settings: Mapping[str, Any]) -> str:
    """Return 16 hex digits for the content of the videos and the settings that change what is read of it.

    Args:
        videos: Files of each video.
        settings: JSON values.

    Raises:
        DataError: A feature file cannot be read any more.
    """
    contents = {
        name: {"features": _features_digest(files.features), "labels": _labels_digest(files)}
        for name, files in videos.items()
    }
    return fingerprint({"videos": contents, "settings": dict(settings)})


def file_fingerprints(folder: Path, paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Return `size` and `sha256` of files by their path inside `folder`; every byte counts.

    Several files are hashed at a time, about 1 GB/s a core where the system has them in memory.

    Raises:
        DataError: A file cannot be read any more.
    """
    ordered = sorted(set(paths))
    with ThreadPoolExecutor(min(8, usable_cores())) as threads:  # hashlib releases the interpreter's lock
        found = list(threads.map(_file_digest, ordered))
    return {
        path.relative_to(folder).as_posix(): {"size": size, "sha256": digest}
        for path, (size, digest) in zip(ordered, found, strict=True)
    }


def differing_files(
    recorded: Mapping[str, Mapping[str, Any]], current: Mapping[str, Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return the names of files whose fingerprints differ, or that only one of the two has, sorted."""
    return tuple(
        name
        for name in sorted(recorded.keys() | current.keys())
        if dict(recorded.get(name, {})) != dict(current.get(name, {}))
    )


def _file_digest(path: Path) -> tuple[int, str]:
    with os.fdopen(open_regular(path), "rb") as stream, reading(path):
        stamp = Stamp.of(os.fstat(stream.fileno()))
        known, digest = _hashed.get(path.absolute(), (None, ""))
        if known != stamp:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            _hashed[path.absolute()] = (stamp, digest)
    return stamp.size, digest


def _labels_digest(files: VideoFiles) -> str:
    return hashlib.sha256(files.labels.astype(np.dtype("<i8")).tobytes()).hexdigest()


def _features_digest(file: FeatureFile) -> str:
    size = file.dtype.itemsize * file.shape[0] * file.shape[1]
    # The type's own byte-order mark, because "=" would mean another order on another machine.
    digest = hashlib.sha256(f"{file.shape}{file.dtype.str}{file.fortran_order}{file.frames_first}".encode())
    with os.fdopen(open_regular(file.path), "rb") as stream, reading(file.path):
        if size <= WHOLE_BYTES:
            stream.seek(file.offset)
            digest.update(stream.read(size))
        else:
            for start in np.linspace(0, size - BLOCK_BYTES, BLOCKS).astype(np.int64):
                stream.seek(file.offset + int(start))
                digest.update(stream.read(BLOCK_BYTES))
    return digest.hexdigest()
