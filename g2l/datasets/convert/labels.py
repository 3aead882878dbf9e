"""The labels of a conversion, whichever kind of file they are in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from g2l.datasets.arrays import MAT
from g2l.datasets.convert.eaf import read_eaf_labels
from g2l.datasets.convert.segments import LABEL_FORMATS, LabelSettings, SegmentTable, Unit
from g2l.datasets.convert.sources import LABELS, files_below, variable_of
from g2l.datasets.convert.tables import read_text_labels
from g2l.datasets.errors import DataError, DataWarning
from g2l.datasets.reading import normal

_SUFFIXES = (".eaf", ".csv", ".tsv", ".txt")


def read_labels_of(
    features: Path, path: Path | None, settings: LabelSettings, issues: list[DataError]
) -> SegmentTable:
    """Return the segments of all videos, appending what is wrong with them to `issues`.

    Args:
        features: Folder of features, whose `.mat` files hold the labels where there is no `path`.
        path: A file or a folder of files, as `LABEL_FORMATS` lists them, or None.
        settings: How labels are read.
        issues: Added to.

    Raises:
        DataError: There are no such files, or they are of no known kind.
    """
    if path is None:
        paths = sorted(found for found in files_below(features) if found.suffix == ".mat")
        if not paths:
            message = "has no labels, which only .mat files hold beside the features."
            raise DataError(features, None, message, hint=f"--segments names {LABEL_FORMATS}.")
        table = SegmentTable(features, settings.clock)
        for file in paths:
            _add_mat(file, table, settings.classes, issues)
        return table
    table = SegmentTable(path, settings.clock)
    paths = _files(path)
    if paths[0].suffix.lower() == ".eaf":
        settings.clock.require(path, Unit.MILLISECONDS)
    if settings.tier is not None and paths[0].suffix.lower() != ".eaf" and not _has_tiers(paths[0]):
        raise DataError(path, None, "has no tiers: --tier is for files of ELAN.")
    for file in paths:
        read = read_eaf_labels if file.suffix.lower() == ".eaf" else read_text_labels
        try:
            read(file, table, settings, issues)
        except DataError as error:
            if file == path:
                raise
            table.mention(normal(file.stem), 1, file)
            issues.append(error)
    _report_resampling(table, issues)
    return table


def _files(path: Path) -> list[Path]:
    """Return the files that are meant, all with the same suffix."""
    if not path.is_dir():
        if path.suffix.lower() not in _SUFFIXES and path.exists():
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


def _has_tiers(path: Path) -> bool:
    """Return whether a text file may be an export of ELAN, which separates by tabs."""
    try:
        return b"\t" in path.open("rb").readline(65536)
    except OSError:
        return False


def _add_mat(path: Path, table: SegmentTable, classes: Sequence[str] | None, issues: list[DataError]) -> None:
    """Add the class numbers `Y` of a `.mat` file, one for every frame."""
    try:
        for video, numbers in _class_numbers(path).items():
            table.add_every_frame(video, path, _names(path, numbers, classes), issues)
    except DataError as error:
        table.mention(normal(path.stem), 1, path)
        issues.append(error)


def _class_numbers(path: Path) -> dict[str, list[int]]:
    found = {}
    for name, array in MAT.list_arrays(path).items():
        if variable_of(name, array) != LABELS:
            continue
        numbers = MAT.read_array(path, name).ravel()
        if numbers.dtype.kind not in "fiu" or not len(numbers) or not (np.mod(numbers, 1) == 0).all():
            raise DataError(path, None, f"expected a whole number for each frame in {name}.")
        stem = normal(path.stem)
        found[stem if array.cell is None else f"{stem}_{array.cell}"] = [int(number) for number in numbers]
    if not found:
        message = f"expected the labels in a variable `{LABELS}`, but there is none."
        raise DataError(path, None, message, hint=f"--segments names {LABEL_FORMATS}.")
    return found


def _names(path: Path, numbers: Sequence[int], classes: Sequence[str] | None) -> list[str]:
    if classes is None:
        return [str(number) for number in numbers]
    for frame, number in enumerate(numbers):
        if not 0 <= number < len(classes):
            message = f"class {number} of frame {frame} is not in the mapping of {len(classes)} classes."
            raise DataError(path, None, message)
    return [classes[number] for number in numbers]


def _report_resampling(table: SegmentTable, issues: list[DataError]) -> None:
    """Add a warning that counts what another frame rate changed."""
    clock = table.clock
    if clock.label_fps is None or clock.fps is None or clock.label_fps == clock.fps or not table.label_frames:
        return
    frames = sum(each.end - each.start for segments in table.segments.values() for each in segments)
    message = (
        f"labels resampled from {clock.label_fps:g} to {clock.fps:g} frames per second: "
        f"{table.label_frames:,} labelled frames became {frames:,}; {table.left_out} segments shorter than a "
        "frame were left out."
    )
    issues.append(DataWarning(table.path, None, message))
