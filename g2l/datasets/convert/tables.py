"""Tables and lists of segments in text files, as people, ELAN, BORIS and Breakfast's authors write them.

| first line | read as |
|---|---|
| names of columns | a table: `video, label, start, end`, or an export of BORIS or ELAN |
| tier, times, annotation, by tabs | ELAN's tab-delimited text |
| `1-30 SIL` | Breakfast: first and last frame, counted from 1 |
| `0 30 SIL` | start, end (exclusive) and class |
| anything else, in a `.txt` | the class of the first frame |
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from g2l.datasets.convert.segments import (
    LABEL_FORMATS,
    LabelSettings,
    SegmentTable,
    Unit,
    choose_tier,
    parse_time,
)
from g2l.datasets.errors import DataError, DataWarning
from g2l.datasets.reading import normal, numbered, read_lines
from g2l.errors import brief

Row = tuple[int, list[str]]
"""Line and fields."""
_TIME = r"\d[\d:.,]*"
_BREAKFAST = re.compile(r"(\d{1,9})-(\d{1,9})\s+(\S.*)", re.ASCII)
_LISTED = re.compile(rf"({_TIME})\s+({_TIME})\s+(\S.*)", re.ASCII)
_ELAN_CLOCK = re.compile(r"\d+:\d\d:\d\d[.,]\d+", re.ASCII)
_ELAN_SECONDS = re.compile(r"\d+[.,]\d+", re.ASCII)
_VIDEO = ("video", "observation id", "media file name", "media file path", "file", "file name", "file path")
_LABEL = ("label", "class", "behavior", "behaviour", "annotation")
_SPANS = (
    ("start_frame", "end_frame", Unit.FRAMES),
    ("start", "end", Unit.FRAMES),
    ("start_s", "end_s", Unit.SECONDS),
    ("start (s)", "stop (s)", Unit.SECONDS),
    ("begin time - ss.msec", "end time - ss.msec", Unit.SECONDS),
    ("begin time - hh:mm:ss.ms", "end time - hh:mm:ss.ms", Unit.SECONDS),
    ("begin time - msec", "end time - msec", Unit.MILLISECONDS),
)
"""Accepted pairs of columns; frames come first, but where --fps is given seconds do."""
_EVENTS = (("time", "behavior type"), ("time", "status"), ("time", "type"))
"""Columns of BORIS's tabular events: a row where a behavior starts, a row where it stops."""
_NO_LABEL = ("begin time", "end time", "duration", "tier", "participant", *_VIDEO)
_PREAMBLE = 60
"""Rows among which the names of columns are looked for; BORIS writes facts of the observation above them."""


def read_text_labels(
    path: Path, table: SegmentTable, settings: LabelSettings, issues: list[DataError]
) -> None:
    """Add the segments of a file to `table` and what is wrong with it to `issues`.

    Args:
        path: `.csv`, `.tsv` or `.txt`. Where no column names the videos, its name does.
        table: Added to.
        settings: How labels are read.
        issues: Added to.

    Raises:
        DataError: The file cannot be read, or is in no format that is known.
    """
    lines = read_lines(path)
    first = next((line for _, line in numbered(lines)), "")
    listed = path.suffix.lower() == ".txt" and "\t" not in first
    if _BREAKFAST.fullmatch(first):
        _read_list(path, lines, _BREAKFAST, table, settings, issues)
    elif listed and _LISTED.fullmatch(first):
        _read_list(path, lines, _LISTED, table, settings, issues)
    elif listed and max(first.count(";"), first.count(",")) < 3:
        _read_every_frame(path, lines, table, issues)
    else:
        _read_table(path, list(_rows(path, lines, first, issues)), table, settings, issues)


def _read_every_frame(path: Path, lines: list[str], table: SegmentTable, issues: list[DataError]) -> None:
    labels = [line.strip() for line in lines]
    while labels and not labels[-1]:
        labels.pop()
    if not labels:
        issues.append(DataError(path, None, "expected one class name a line, but it is empty."))
    table.add_every_frame(normal(path.stem), path, labels, issues)


def _read_list(
    path: Path,
    lines: list[str],
    pattern: re.Pattern[str],
    table: SegmentTable,
    settings: LabelSettings,
    issues: list[DataError],
) -> None:
    """Read `<start> <end> <class>` or `<first>-<last> <class>` a line."""
    breakfast = pattern is _BREAKFAST
    unit = Unit.SECONDS if settings.seconds and not breakfast else Unit.FRAMES
    video = normal(path.stem)
    table.mention(video, 1, path)
    for line, text in numbered(lines):
        match = pattern.fullmatch(text)
        if match is None:
            message = (
                f"expected {'first-last' if breakfast else 'start end'} class, but found {brief(repr(text))}."
            )
            issues.append(DataError(path, line, message))
            continue
        # Breakfast counts frames from 1 and means the last one too.
        start = str(int(match[1]) - 1) if breakfast and int(match[1]) else match[1]
        _add(table, settings, (video, line, match[3].strip()), (start, match[2]), unit, issues)


def _rows(path: Path, lines: list[str], first: str, issues: list[DataError]) -> Iterator[Row]:
    """Yield the first line and the fields of each row that is not blank."""
    counts = {mark: first.count(mark) for mark in (",", ";", "\t")}
    separator = "\t" if path.suffix.lower() == ".tsv" else max(counts, key=counts.__getitem__)
    # Ends of lines are put back, for a quoted field may hold some.
    reader = csv.reader(
        (f"{line}\n" for line in lines), delimiter=separator, strict=True, skipinitialspace=True
    )
    line = 1
    try:
        for row in reader:
            if any(text.strip() for text in row):
                yield line, [text.strip() for text in row]
            line = reader.line_num + 1
    except csv.Error as error:
        message = f"is not a row of a table ({error}); it and what follows cannot be read."
        issues.append(DataError(path, line, message))


@dataclass(frozen=True)
class _Columns:
    """Positions of the columns of a table.

    Attributes:
        video: Of the name of the video, or None.
        label: Of the class.
        times: Of start and end, or of time and type of an event.
        unit: Of the times.
        events: Whether rows are events: a start or a stop.
        tier: Of the name of ELAN's tier, or None.
        sparse: Whether rows without a class belong to other tiers.
    """

    video: int | None
    label: int
    times: tuple[int, int]
    unit: Unit
    events: bool = False
    tier: int | None = None
    sparse: bool = False


def _read_table(
    path: Path, rows: list[Row], table: SegmentTable, settings: LabelSettings, issues: list[DataError]
) -> None:
    for place, (_, header) in enumerate(rows[:_PREAMBLE]):
        if columns := _find_columns(path, header, rows[place + 1 :], settings):
            _require_video(path, columns, header, settings)
            _read_rows(path, len(header), rows[place + 1 :], columns, table, settings, issues)
            return
    columns = _find_unnamed(path, rows, settings)
    if columns is None:
        line, header = rows[0] if rows else (None, [])
        message = (
            f"expected columns video, label, start and end, but found {brief(header) if header else 'none'}."
        )
        raise DataError(path, line, message, hint=f"labels can be {LABEL_FORMATS}.")
    _read_rows(path, None, rows, columns, table, settings, issues)


def _find_columns(
    path: Path, header: list[str], rows: Sequence[Row], settings: LabelSettings
) -> _Columns | None:
    """Return the columns by their names, or None when these are not names of columns."""
    names = [name.casefold() for name in header]
    place = {name: position for position, name in reversed(list(enumerate(names)))}
    spans = [span for span in _SPANS if span[0] in place and span[1] in place]
    timed = [span for span in spans if span[2] is not Unit.FRAMES]
    events = next((pair for pair in _EVENTS if pair[0] in place and pair[1] in place), None)
    if not spans and (events is None or not any(name in place for name in _LABEL)):
        return None
    video = _find_video(place, rows, settings)
    label = next((place[name] for name in _LABEL if name in place), None)
    sparse = label is None
    if label is None:
        label = _tier_column(path, header, rows, settings)
    if not spans and events is not None:
        return _Columns(video, label, (place[events[0]], place[events[1]]), Unit.SECONDS, events=True)
    start, end, unit = (timed or spans)[0] if settings.seconds else spans[0]
    plain = bool(rows) and len(rows[0][1]) == len(names) and ":" not in rows[0][1][place[start]]
    if start == "start" and settings.seconds and plain:
        message = "`start` and `end` may be frames or seconds, and --fps is given."
        hint = "name them start_s and end_s (seconds) or start_frame and end_frame (frames of the features)."
        raise DataError(path, None, message, hint=hint)
    return _Columns(video, label, (place[start], place[end]), unit, tier=place.get("tier"), sparse=sparse)


def _find_video(place: dict[str, int], rows: Sequence[Row], settings: LabelSettings) -> int | None:
    """Return the column that names videos: of several the one in which names of features are."""
    found = [place[name] for name in _VIDEO if name in place]
    for column in found:
        if rows and len(rows[0][1]) > column and _named(rows[0][1][column], settings) in settings.videos:
            return column
    return found[0] if found else None


def _require_video(path: Path, columns: _Columns, header: list[str], settings: LabelSettings) -> None:
    if columns.video is None and settings.videos and normal(path.stem) not in settings.videos:
        message = f"expected a column `video`, but found {brief(header)}."
        hint = "without one, the name of the file must be that of a video."
        raise DataError(path, None, message, hint=hint)


def _tier_column(path: Path, header: list[str], rows: Sequence[Row], settings: LabelSettings) -> int:
    """Return the column of the tier in an export of ELAN that has a column for each."""
    elan = any(name.casefold().startswith("begin time") for name in header)
    counts = {
        name: sum(1 for _, row in rows if position < len(row) and row[position])
        for position, name in enumerate(header)
        if elan and name and not name.casefold().startswith(_NO_LABEL)
    }
    if not counts:
        message = f"expected a column `label`, but found {brief(header)}."
        raise DataError(path, None, message, hint=f"labels can be {LABEL_FORMATS}.")
    return header.index(choose_tier(path, counts, settings.tier))


def _find_unnamed(path: Path, rows: Sequence[Row], settings: LabelSettings) -> _Columns | None:
    """Return the columns of a table without names: ELAN's text, or start, end and class."""
    first = rows[0][1] if rows else []
    for pattern in (_ELAN_CLOCK, _ELAN_SECONDS):
        times = [place for place, text in enumerate(first) if pattern.fullmatch(text)]
        if len(first) > 3 and len(times) > 1 and times[0] > 0:
            return _Columns(None, len(first) - 1, (times[0], times[1]), Unit.SECONDS, tier=0)
    if len(first) == 3 and all(parse_time(text, Unit.SECONDS) for text in first[:2]):
        return _Columns(None, 2, (0, 1), Unit.SECONDS if settings.seconds else Unit.FRAMES)
    return None


def _read_rows(
    path: Path,
    width: int | None,
    rows: Sequence[Row],
    columns: _Columns,
    table: SegmentTable,
    settings: LabelSettings,
    issues: list[DataError],
) -> None:
    width = len(rows[0][1]) if width is None and rows else width
    tier = None
    if columns.tier is not None:
        counts: dict[str, int] = {}
        for _, row in rows:
            if len(row) == width:
                counts[row[columns.tier]] = counts.get(row[columns.tier], 0) + 1
        tier = choose_tier(path, counts, settings.tier)
    own = columns.video is None
    begun: dict[tuple[str, str], Row] = {}
    points = 0
    for line, row in rows:
        if len(row) != width:
            issues.append(
                DataError(path, line, f"expected {width} fields as in the header, but found {len(row)}.")
            )
            continue
        label, (first, second) = row[columns.label], (row[place] for place in columns.times)
        if (columns.tier is not None and row[columns.tier] != tier) or (columns.sparse and not label):
            continue
        video = normal(path.stem) if columns.video is None else _named(row[columns.video], settings)
        if not video:
            issues.append(DataError(path, line, "`video` must not be empty."))
            continue
        if own:
            table.mention(video, line, path)
        if not columns.events:
            _add(table, settings, (video, line, label), (first, second), columns.unit, issues)
        elif second.casefold() == "point":
            points += 1
        elif second.casefold() == "start":
            begun[video, label] = line, [first]
        elif (start := begun.pop((video, label), None)) is not None:
            _add(table, settings, (video, start[0], label), (start[1][0], first), columns.unit, issues)
        else:
            issues.append(DataError(path, line, f"{label!r} stops, but has not started."))
    for (_, label), (line, _) in begun.items():
        issues.append(DataError(path, line, f"{label!r} starts and does not stop."))
    if points:
        message = f"{points} point events have no duration and are left out."
        issues.append(DataWarning(path, None, message))


def _named(text: str, settings: LabelSettings) -> str:
    """Return the video that a field names: by its name, or by the path of its file."""
    name = normal(re.split(r"[\\/]", text)[-1])
    stem = name.rpartition(".")[0]
    return stem if stem in settings.videos and name not in settings.videos else name


def _add(
    table: SegmentTable,
    settings: LabelSettings,
    what: tuple[str, int, str],
    texts: tuple[str, str],
    unit: Unit,
    issues: list[DataError],
) -> None:
    """Add a segment whose times are text; `what` is video, line and label."""
    video, line, label = what
    path = table.file(video)
    times = [parse_time(text, unit) for text in texts]
    expected = "a whole number of frames >= 0" if unit is Unit.FRAMES else f"{unit.name.lower()} >= 0"
    wrong = [
        f"`{name}` must be {expected} or hh:mm:ss, but is {brief(repr(text))} instead."
        for name, text, time in zip(("start", "end"), texts, times, strict=True)
        if time is None
    ]
    start, end = times
    if start is not None and end is not None and start[1] is not end[1]:
        wrong.append(f"`start` and `end` must be in one unit, but are {texts[0]!r} and {texts[1]!r} instead.")
    if start is None or end is None or wrong:
        table.mentions.setdefault(video, line)
        issues.extend(DataError(path, line, message) for message in wrong)
        return
    settings.clock.require(path, start[1])
    table.add(video, line, label, (start[0], end[0]), start[1], issues)
