"""Segments of a tier of ELAN's `.eaf` files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from g2l.datasets.eaf_file import Annotation, EafFile, read_eaf
from g2l.datasets.faults import DataError, Fault, Severity
from g2l.datasets.segment_table import Segment, SegmentTable, label_fault
from g2l.errors import did_you_mean

_DIGITS = 15
"""Of a time in milliseconds at most: thirty thousand years."""


def read_eaf_segments(
    folder: Path, paths: Sequence[Path], fps: float, tier: str | None, faults: list[Fault]
) -> SegmentTable:
    """Read files, one for each video, appending what is wrong with them to `faults`.

    Args:
        folder: To name in errors.
        paths: `<video>.eaf`.
        fps: Rate of the features; times are in milliseconds.
        tier: Name of the tier, or None: the only one that has annotations.
        faults: Added to.
    """
    table = SegmentTable(folder)
    for path in paths:
        segments = table.mention(path.stem, 1, path)
        try:
            file = read_eaf(path)
            _check_times(path, file, faults)
            annotations = file.tiers[_choose(path, file, tier)]
        except DataError as error:
            faults.append(error.fault)
            continue
        for annotation in annotations:
            segment = _segment(path, file, annotation, fps, faults)
            if segment is not None:
                segments.append(segment)
        if not segments:
            faults.append(Fault(path, None, "has no annotation that can be used."))
    return table


def _check_times(path: Path, file: EafFile, faults: list[Fault]) -> None:
    if file.units != "milliseconds":
        message = f"expected times in milliseconds, but `TIME_UNITS` is {file.units!r}."
        raise DataError(Fault(path, None, message))
    for origin in file.origins:
        if origin.strip() != "0":
            message = (
                f"its times count from {origin} ms of the medium on (`TIME_ORIGIN`); they are taken as if "
                "the features began there too."
            )
            faults.append(Fault(path, None, message, Severity.WARNING))


def _choose(path: Path, file: EafFile, tier: str | None) -> str:
    counts = {name: len(annotations) for name, annotations in file.tiers.items()}
    shown = ", ".join(f"{name!r} with {count} annotations" for name, count in counts.items())
    if tier is not None:
        if tier in counts:
            return tier
        message = f"expected a tier {tier!r}, but its tiers are {shown or 'none'}."
        raise DataError(Fault(path, None, message, hint=did_you_mean(tier, list(counts))))
    filled = [name for name, count in counts.items() if count]
    if len(filled) == 1:
        return filled[0]
    if not filled:
        raise DataError(Fault(path, None, f"expected annotations, but its tiers are {shown or 'none'}."))
    hint = f"--tier chooses one, such as --tier {filled[0]!r}."
    raise DataError(Fault(path, None, f"expected one tier, but found {shown}.", hint=hint))


def _segment(
    path: Path, file: EafFile, annotation: Annotation, fps: float, faults: list[Fault]
) -> Segment | None:
    """Return an annotation in frames, or None with the reason added to `faults`."""
    label = annotation.value.strip()
    reason = label_fault(label)
    wrong = f"an annotation must be a class name, but {reason}: {annotation.value!r}." if reason else None
    if annotation.slots is None:
        wrong = f"{label!r} refers to another tier and has no time of its own: choose that tier with --tier."
    times = [_milliseconds(file, slot) for slot in annotation.slots or ()]
    if wrong is None and None in times:
        wrong = f"{label!r} must start and end at a time, but a time slot of {annotation.slots} has none."
    known = [time for time in times if time is not None]
    if wrong is None and known[1] <= known[0]:
        wrong = f"{label!r} must end after it starts, but starts at {known[0]} ms and ends at {known[1]} ms."
    if wrong is not None:
        faults.append(Fault(path, annotation.line, wrong))
        return None
    # Halves go up, as in tables, so that the end of a segment and the start of the next stay one frame.
    start, end = (math.floor(time * fps / 1000 + 0.5) for time in known)
    if start < end:
        return Segment(annotation.line, label, start, end)
    message = f"{label!r} lasts less than a frame at {fps} frames per second and is left out."
    faults.append(Fault(path, annotation.line, message, Severity.WARNING))
    return None


def _milliseconds(file: EafFile, slot: str) -> int | None:
    value = file.times.get(slot)
    if value is None or not (value.isascii() and value.isdecimal() and len(value) <= _DIGITS):
        return None
    return int(value)
