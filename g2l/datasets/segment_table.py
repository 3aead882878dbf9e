"""Tables of segments: `.csv` or `.tsv` with a header, one segment a row, as annotation tools write them."""

from __future__ import annotations

import csv
import math
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from g2l.datasets.faults import DataError, Fault, Severity
from g2l.datasets.text_lines import read_lines

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_FRAMES = {
    "video": ("video",),
    "label": ("label", "class"),
    "start": ("start", "start_frame"),
    "end": ("end", "end_frame"),
}
_SECONDS = _FRAMES | {"start": ("start_s",), "end": ("end_s",)}
"""Accepted header names of each column; the first is the one that messages ask for."""


@dataclass(frozen=True)
class Segment:
    """One row.

    Attributes:
        line: Where it is in its file, 1-based.
        label: Class name.
        start: First frame.
        end: Frame after the last.
    """

    line: int
    label: str
    start: int
    end: int


@dataclass
class SegmentTable:
    """The rows that are sound by themselves.

    Attributes:
        path: The file, or the folder of files.
        segments: Of each video, in the order of the rows.
        mentions: The first line of each video that has a sound row or one at fault.
        files: The file of each video that has one of its own.
        every_frame: Whether each frame was given a label, so that none may be filled in.
    """

    path: Path
    segments: dict[str, list[Segment]] = field(default_factory=dict)
    mentions: dict[str, int] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    every_frame: bool = False

    def file(self, video: str) -> Path:
        """Return the file that holds the segments of a video."""
        return self.files.get(video, self.path)

    def mention(self, video: str, line: int, path: Path | None = None) -> list[Segment]:
        """Note that a video is there, and return its segments, to be added to."""
        self.mentions.setdefault(video, line)
        if path is not None:
            self.files[video] = path
        return self.segments.setdefault(video, [])


def read_segments(path: Path, fps: float | None, faults: list[Fault]) -> SegmentTable:
    """Read a table, appending what is wrong with its rows to `faults`.

    Args:
        path: `.csv` or `.tsv`; columns are found by name, others are passed over.
        fps: None: `start` and `end` are frames; otherwise `start_s` and `end_s` are seconds, and this is
            the rate of the features.
        faults: Added to.

    Raises:
        DataError: The file cannot be read, or has not the columns.
    """
    table = SegmentTable(path)
    rows = _rows(path, faults)
    line, header = next(rows, (None, []))
    columns = _find_columns(path, line, header, fps)
    for line, row in rows:
        if len(row) == len(header):
            values = {name: row[position].strip() for name, position in columns.items()}
            _add_row(table, line, values, fps, faults)
        else:
            message = f"expected {len(header)} fields as in the header, but found {len(row)}."
            faults.append(Fault(path, line, message))
    return table


def label_fault(label: str) -> str | None:
    """Return why `label` cannot be a class name in `mapping.txt`, or None when it can."""
    if not label.strip():
        return "is empty"
    if "\n" in label or any(unicodedata.category(character) in ("Zl", "Zp") for character in label):
        return "holds a line break"
    if any(unicodedata.category(character) == "Cc" for character in label):
        return "holds a control character"
    return None


def _rows(path: Path, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Yield the first line and the fields of each row that is not blank."""
    delimiter = _DELIMITERS.get(path.suffix.lower())
    if delimiter is None:
        raise DataError(Fault(path, None, "expected a table of segments: a .csv or a .tsv file."))
    # Ends of lines are put back, for a quoted field may hold some.
    lines = (f"{line}\n" for line in read_lines(path))
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    first = 1
    try:
        for row in reader:
            if any(text.strip() for text in row):
                yield first, row
            first = reader.line_num + 1
    except csv.Error as error:
        message = f"is no row of a table ({error}); it and what follows cannot be read."
        faults.append(Fault(path, first, message))


def _find_columns(path: Path, line: int | None, header: list[str], fps: float | None) -> dict[str, int]:
    """Return the position of each column."""
    found = [name.strip().casefold() for name in header]
    columns = {}
    for column, accepted in (_FRAMES if fps is None else _SECONDS).items():
        positions = [position for position, name in enumerate(found) if name in accepted]
        if len(positions) != 1:
            known = "only one of" if positions else "a column"
            message = f"expected {known} {' or '.join(f'`{name}`' for name in accepted)}, but found "
            raise DataError(
                Fault(path, line, f"{message}{header or 'no header'}.", hint=_unit_hint(found, fps))
            )
        columns[column] = positions[0]
    return columns


def _unit_hint(found: list[str], fps: float | None) -> str:
    if fps is None and "start_s" in found:
        return "give --fps, the frames per second of the features, for `start_s` and `end_s` in seconds."
    if fps is not None and not {"start", "start_frame"}.isdisjoint(found):
        return "--fps is for `start_s` and `end_s` in seconds: leave it out, or rename the columns."
    return "the first line names the columns: video, label, and start and end (frames) or start_s and end_s."


def _add_row(
    table: SegmentTable, line: int, values: Mapping[str, str], fps: float | None, faults: list[Fault]
) -> None:
    video, label = values["video"], values["label"]
    if not video:
        faults.append(Fault(table.path, line, "`video` must not be empty."))
        return
    wrong = [f"`label` {reason}: {label!r}." for reason in [label_fault(label)] if reason]
    times = {name: _time(name, values[name], fps, wrong) for name in ("start", "end")}
    if not wrong and times["end"] <= times["start"]:
        wrong.append(f"`end` must be > `start` {values['start']}, but is {values['end']} instead.")
    if wrong:
        table.mentions.setdefault(video, line)
        faults.extend(Fault(table.path, line, message) for message in wrong)
        return
    # Halves go up, so that the end of a segment and the start of the next stay one frame.
    start, end = (math.floor(time * (fps or 1) + 0.5) for time in times.values())
    if start < end:
        table.mentions.setdefault(video, line)
        table.segments.setdefault(video, []).append(Segment(line, label, start, end))
    else:
        message = f"lasts less than a frame at {fps} frames per second and is left out."
        faults.append(Fault(table.path, line, message, Severity.WARNING))


def _time(name: str, text: str, fps: float | None, wrong: list[str]) -> float:
    """Return a time in the unit of the table, or 0 with the reason added to `wrong`."""
    expected = "a whole number of frames >= 0" if fps is None else "a number of seconds >= 0"
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if (
        0 <= value < math.inf
        and (fps is not None or value.is_integer())
        and math.isfinite(value * (fps or 1))
    ):
        return value
    wrong.append(f"`{name}` must be {expected}, but is {text!r} instead.")
    return 0.0
