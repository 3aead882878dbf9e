"""The fingerprint of a data set: what training on it and scoring on it depend on, nothing else.

It is the same on every machine and in every folder. All labels count. Of features, the shape and type count,
and the bytes: all of them up to 1 MiB a video, above that 32 evenly spread blocks of 4 KiB, because reading
30 GB before a search would take minutes. A change in a large file that misses every block is not seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from g2l.datasets.faults import DataError, Fault
from g2l.datasets.features import FeatureFile
from g2l.datasets.inspection import VideoFiles
from g2l.files import fingerprint

WHOLE_BYTES = 2**20
"""Files up to this size are hashed whole."""
BLOCKS = 32
BLOCK_BYTES = 4096


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


def _labels_digest(files: VideoFiles) -> str:
    return hashlib.sha256(files.labels.astype(np.dtype("<i8")).tobytes()).hexdigest()


def _features_digest(file: FeatureFile) -> str:
    size = file.dtype.itemsize * file.shape[0] * file.shape[1]
    # The type's own byte-order mark, because "=" would mean another order on another machine.
    digest = hashlib.sha256(f"{file.shape}{file.dtype.str}{file.fortran_order}{file.frames_first}".encode())
    try:
        with file.path.open("rb") as stream:
            if size <= WHOLE_BYTES:
                stream.seek(file.offset)
                digest.update(stream.read(size))
            else:
                for start in np.linspace(0, size - BLOCK_BYTES, BLOCKS).astype(np.int64):
                    stream.seek(file.offset + int(start))
                    digest.update(stream.read(BLOCK_BYTES))
    except OSError as error:
        raise DataError(Fault(file.path, None, f"cannot be read ({error.strerror}).")) from None
    return digest.hexdigest()
