"""What the files in a folder of predictions were made of, so that an interrupted run can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from g2l.files import fingerprint, unwritable, write_text
from g2l.inference.segments import SegmentRow
from g2l.inference.writers import RECORD_FILE

Source: TypeAlias = Mapping[str, Any]
"""What tells one feature file, as it was, from others: a JSON value."""
Stamp: TypeAlias = list[int]
"""Size in bytes and time of the last change in nanoseconds: what shows that a file was changed."""


class PredictionRecord:
    """One line per video: the model and the options, its feature file, the files written, its segments.

    A video is done where all but the segments is as it was then. A line is on disk before the next video is
    written. Of several lines of a video the last one counts.

    Args:
        folder: Of the predictions.
        settings: What the files depend on beside the features, as JSON values.
        resume: Whether to keep what an earlier run recorded.

    Raises:
        OperationalError: The record of an earlier run cannot be read.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self._path = folder / RECORD_FILE
        self._made_by = fingerprint(settings)
        self._lines = self._read() if resume else {}
        self._begun = False

    def done(self, features: Path) -> list[SegmentRow] | None:
        """Return the segments of a video that is done, or None."""
        line = self._lines.get(features.stem, {})
        try:
            files = {name: _stamp(self._path.parent / name) for name in line["files"]}
            same = (line["made_by"], line["features"], line["files"]) == (
                self._made_by,
                source(features),
                files,
            )
            return [SegmentRow(*row) for row in line["segments"]] if files and same else None
        except (OSError, KeyError, TypeError):  # a file is gone, or the line is none of ours
            return None

    def add(
        self,
        video: str,
        features: Source | None,
        files: Iterable[Path],
        segments: Sequence[SegmentRow],
    ) -> None:
        """Record that a video is done.

        Args:
            video: Its name.
            features: `source` of its feature file, taken before it was read.
            files: What was written of it, in this folder.
            segments: Of it.

        Raises:
            OperationalError: The disk refuses.
        """
        line = {
            "video": video,
            "made_by": self._made_by,
            "features": features,
            "files": {str(path.relative_to(self._path.parent)): _stamp(path) for path in files},
            "segments": [list(vars(row).values()) for row in segments],
        }
        if not self._begun:  # anew, without a line that was torn by a kill
            write_text(self._path, "".join(f"{json.dumps(old)}\n" for old in self._lines.values()))
            self._begun = True
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(line)}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _read(self) -> dict[str, Any]:
        lines = {}
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise unwritable(self._path, error) from error
        for part in text.splitlines():
            try:
                line = json.loads(part)
                lines[str(line["video"])] = line
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # torn
        return lines


def source(features: Path) -> Source | None:
    """Return what tells a feature file, as it is now, from others; None where there is none."""
    try:
        return {"path": str(features.resolve()), "stamp": _stamp(features)}
    except OSError:
        return None


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
