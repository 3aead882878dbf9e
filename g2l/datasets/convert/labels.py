"""The labels of a conversion, whichever kind of file they are in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from g2l.datasets.arrays import MAT
from g2l.datasets.convert.eaf import read_eaf_labels
from g2l.datasets.convert.segments import LABEL_FORMATS, LabelSettings, SegmentTable, Unit
from g2l.datasets.convert.sources import LABELS, files_below
from g2l.datasets.convert.tables import read_text_labels
from g2l.datasets.errors import DataError
from g2l.datasets.reading import is_folder, normal, open_regular, present, reading

_SUFFIXES = (".eaf", ".csv", ".tsv", ".txt")


def read_labels_of(
    features: Path, path: Path | None, settings: LabelSettings, issues: list[DataError]
) -> SegmentTable:
    """Return the segments of all videos in `path` (see `LABEL_FORMATS`), or else in the features' .mat files.

    Raises:
        DataError: There are no such files, or they are of no known kind.
    """
    table = SegmentTable(path or features, settings, issues)
    settings.require(table.path, Unit.FRAMES)
    if path is None:
        files = [file for file in files_below(features) if file.suffix.lower() == ".mat"]
        if not files:
            message = "has no labels, which only .mat files hold beside the features."
            raise DataError(features, None, message, hint=f"--segments names {LABEL_FORMATS}.")
        read = _read_mat_labels
    else:
        files = _files(path)
        elan = files[0].suffix.lower() == ".eaf"
        if elan:
            settings.require(path, Unit.MILLISECONDS)
        elif settings.tier is not None and not _has_tabs(files[0]):
            raise DataError(path, None, "has no tiers: --tier is for files of ELAN.")
        read = read_eaf_labels if elan else read_text_labels
    for file in files:
        try:
            read(file, table)
        except DataError as error:
            if file == path:
                raise
            table.mention(normal(file.stem), 1, file)
            issues.append(error.with_traceback(None))
    if settings.label_fps not in (None, settings.fps) and table.label_frames:
        frames = sum(each.end - each.start for segments in table.segments.values() for each in segments)
        message = (
            f"labels resampled from {settings.label_fps:g} to {settings.fps:g} frames per second: "
            f"{table.label_frames:,} labelled frames became {frames:,}; {table.left_out} segments shorter "
            "than a frame were left out."
        )
        table.warn(table.path, None, message)
    return table


def _files(path: Path) -> list[Path]:
    """Return the file, or the files of the folder, all with the same suffix."""
    if not is_folder(path):
        if path.suffix.lower() not in _SUFFIXES and present(path):
            raise DataError(path, None, f"expected {LABEL_FORMATS}.")
        return [path]
    found: dict[str, list[Path]] = {}
    for file in files_below(path):
        if file.suffix.lower() in _SUFFIXES:
            found.setdefault(file.suffix.lower(), []).append(file)
    if len(found) > 1:
        counts = " and ".join(f"{len(files)} {suffix}" for suffix, files in sorted(found.items()))
        raise DataError(path, None, f"expected labels of one kind, but found {counts} files.")
    if not found:
        raise DataError(path, None, f"expected {LABEL_FORMATS}, but the folder holds none.")
    return next(iter(found.values()))


def _has_tabs(path: Path) -> bool:
    """Return whether a text file may be an export of ELAN, which separates by tabs."""
    with os.fdopen(open_regular(path), "rb") as stream, reading(path):
        return b"\t" in stream.readline(65536)


def _read_mat_labels(path: Path, table: SegmentTable) -> None:
    """Add the class numbers `Y` of a `.mat` file, one for every frame."""
    array = MAT.list_arrays(path).get(LABELS)
    if array is None:
        message = f"expected the labels in a variable `{LABELS}`, but there is none."
        raise DataError(path, None, message, hint=f"--segments names {LABEL_FORMATS}.")
    numbers = np.zeros(0) if array.matrix is None else MAT.read_array(path, LABELS).ravel()
    if not len(numbers) or not (np.mod(numbers, 1) == 0).all():
        raise DataError(path, None, f"expected a whole number for each frame in {LABELS}.")
    classes: dict[Any, str] = dict(enumerate(table.settings.classes or ())) or {
        n: str(n) for n in map(int, numbers)
    }
    for frame, number in enumerate(numbers):
        if number not in classes:
            message = f"class {number:g} of frame {frame} is not in the mapping of {len(classes)} classes."
            raise DataError(path, None, message)
    table.add_every_frame(normal(path.stem), path, [classes[number] for number in numbers])
