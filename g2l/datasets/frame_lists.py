"""Labels of every frame, as text files and `.mat` files list them, turned into segments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from g2l.datasets.array_files.formats import MAT
from g2l.datasets.faults import DataError, Fault
from g2l.datasets.segment_table import Segment, SegmentTable, label_fault
from g2l.datasets.source_files import LABELS, variable_of
from g2l.datasets.text_lines import read_lines


def read_frame_lists(folder: Path, paths: Sequence[Path], faults: list[Fault]) -> SegmentTable:
    """Read text files of one class name a line, one line a frame.

    Args:
        folder: To name in errors.
        paths: `<video>.txt`.
        faults: Added to: a file that cannot be read, a line that names no class.
    """
    table = SegmentTable(folder, every_frame=True)
    for path in paths:
        segments = table.mention(path.stem, 1, path)
        try:
            lines = [line.strip() for line in read_lines(path)]
        except DataError as error:
            faults.append(error.fault)
            continue
        while lines and not lines[-1]:
            lines.pop()
        if not lines:
            faults.append(Fault(path, None, "expected one class name a line, but it is empty."))
        for segment in runs(lines):
            if reason := label_fault(segment.label):
                faults.append(Fault(path, segment.line, f"expected a class name, but the line {reason}."))
            segments.append(segment)
    return table


def read_mat_labels(
    folder: Path, paths: Sequence[Path], classes: Sequence[str] | None, faults: list[Fault]
) -> SegmentTable:
    """Read the class numbers `Y` of `.mat` files, one for every frame.

    Args:
        folder: To name in errors.
        paths: The files.
        classes: Their names by number, or None: the numbers are the names.
        faults: Added to: a file without numbers of classes, a number that has no name.
    """
    table = SegmentTable(folder, every_frame=True)
    for path in paths:
        try:
            for video, numbers in _class_numbers(path).items():
                segments = table.mention(video, 1, path)
                segments.extend(runs(_names(path, numbers, classes)))
        except DataError as error:
            table.mention(path.stem, 1, path)
            faults.append(error.fault)
    return table


def runs(labels: Sequence[str]) -> list[Segment]:
    """Return the segments of a label a frame, each with the line of its first frame."""
    segments: list[Segment] = []
    for label, frames in groupby(labels):
        start = segments[-1].end if segments else 0
        segments.append(Segment(start + 1, label, start, start + sum(1 for _ in frames)))
    return segments


def _class_numbers(path: Path) -> dict[str, list[int]]:
    found = {}
    for name, array in MAT.list_arrays(path).items():
        if variable_of(name, array) != LABELS:
            continue
        numbers = MAT.read_array(path, name).ravel()
        if numbers.dtype.kind not in "fiu" or not len(numbers) or not (np.mod(numbers, 1) == 0).all():
            raise DataError(Fault(path, None, f"expected a whole number for each frame in {name}."))
        video = path.stem if array.cell is None else f"{path.stem}_{array.cell}"
        found[video] = [int(number) for number in numbers]
    if not found:
        message = f"expected the labels in a variable `{LABELS}`, but there is none."
        hint = "--segments names a table of segments, an .eaf file, or a folder of labels."
        raise DataError(Fault(path, None, message, hint=hint))
    return found


def _names(path: Path, numbers: Sequence[int], classes: Sequence[str] | None) -> list[str]:
    if classes is None:
        return [str(number) for number in numbers]
    for frame, number in enumerate(numbers):
        if not 0 <= number < len(classes):
            message = f"class {number} of frame {frame} is not in the mapping of {len(classes)} classes."
            raise DataError(Fault(path, None, message))
    return [classes[number] for number in numbers]
