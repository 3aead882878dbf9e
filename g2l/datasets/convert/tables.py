"""Tables and lists of segments in text files, as people, ELAN, BORIS and Breakfast's authors write them.

| first line | read as |
|---|---|
| names of columns | a table: `video, label, start, end`, or an export of BORIS or ELAN |
| tier, times, annotation, by tabs | ELAN's tab-delimited text |
| `1-30 SIL` | Breakfast: first and last frame, counted from 1 (or 0, where the first line does) |
| `0 30 SIL` | start, end (exclusive) and class |
| anything else, in a `.txt` | the class of the first frame |
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from g2l.datasets.convert.segments import LABEL_FORMATS, LabelSettings, SegmentTable, Unit, parse_time
from g2l.datasets.errors import DataError
from g2l.datasets.reading import normal, numbered, read_lines
from g2l.errors import brief

Row = tuple[int, list[str]]
"""Line and fields."""
_TIME = r"\d[\d:.,]*"
_BREAKFAST = re.compile(r"(\d{1,9})-(\d{1,9})\s+(\S.*)", re.ASCII)
_LISTED = re.compile(rf"({_TIME})\s+({_TIME})\s+(\S.*)", re.ASCII)
_ELAN_CLOCK = re.compile(r"\d+:\d\d:\d\d[.,]\d+", re.ASCII)
_ELAN_SECONDS = re.compile(r"\d+[.,]\d+", re.ASCII)
_ELAN_MILLISECONDS = re.compile(r"\d{1,12}", re.ASCII)
_VIDEO = (
    *("video", "video id", "video name", "observation id", "media file name", "media file path"),
    *("file", "filename", "file name", "file path"),
)
_LABEL = ("label", "class", "behavior", "behaviour", "annotation", "action", "activity", "event")
_SPANS = (
    ("start frame", "end frame", Unit.FRAMES),
    *((start, end, Unit.FRAMES) for start in ("start", "begin") for end in ("end", "stop")),
    ("onset", "offset", Unit.FRAMES),
    *((f"start{unit}", f"end{unit}", Unit.SECONDS) for unit in (" s", " sec", " (s)", " time", " seconds")),
    ("start (s)", "stop (s)", Unit.SECONDS),
    ("begin time - ss.msec", "end time - ss.msec", Unit.SECONDS),
    ("begin time - hh:mm:ss.ms", "end time - hh:mm:ss.ms", Unit.SECONDS),
    ("begin time - msec", "end time - msec", Unit.MILLISECONDS),
)
"""Accepted pairs of columns; frames come first, but with --fps seconds do. `_` counts as a space."""
_EVENTS = (("time", "behavior type"), ("time", "status"), ("time", "type"))
"""Columns of BORIS's tabular events: a row where a behavior starts, a row where it stops."""
_NO_LABEL = ("begin time", "end time", "duration", "tier", "participant", *_VIDEO)
_PREAMBLE = 60
"""Rows among which the names of columns are looked for; BORIS writes facts of the observation above them."""


def read_text_labels(path: Path, table: SegmentTable) -> None:
    """Add the segments of a text file, named after its video where no column names it."""
    lines = read_lines(path)
    first = next((line for _, line in numbered(lines)), "")
    listed = path.suffix.lower() == ".txt" and "\t" not in first
    if _BREAKFAST.fullmatch(first):
        _read_list(path, lines, _BREAKFAST, table)
    elif listed and _LISTED.fullmatch(first):
        _read_list(path, lines, _LISTED, table)
    elif listed and max(first.count(";"), first.count(",")) < 3:
        if not first:
            table.error(path, None, "expected one class name a line, but it is empty.")
        labels = "\n".join(line.strip() for line in lines).rstrip("\n").split("\n")
        table.add_every_frame(normal(path.stem), path, labels if first else [])
    else:
        _read_table(path, list(_rows(path, lines, first, table)), table)


def _read_list(path: Path, lines: list[str], pattern: re.Pattern[str], table: SegmentTable) -> None:
    """Read `<start> <end> <class>` or `<first>-<last> <class>` a line."""
    breakfast = pattern is _BREAKFAST
    unit = Unit.SECONDS if table.settings.seconds and not breakfast else Unit.FRAMES
    table.mention(normal(path.stem), 1, path)
    shift: int | None = None
    for line, text in numbered(lines):
        match = pattern.fullmatch(text)
        if match is None:
            expected = "first-last class" if breakfast else "start end class"
            table.error(path, line, f"expected {expected}, but found {brief(repr(text))}.")
            continue
        start, end = match[1], match[2]
        if breakfast:  # which counts frames from 1, and includes the last one
            shift = min(int(start), 1) if shift is None else shift
            start, end = str(max(int(start) - shift, 0)), str(int(end) - shift + 1)
        _add(table, normal(path.stem), line, match[3].strip(), (start, end), unit)


def _rows(path: Path, lines: list[str], first: str, table: SegmentTable) -> Iterator[Row]:
    """Yield line and fields of each row that is not blank."""
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
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
        table.error(path, line, f"is not a row of a table ({error}); it and what follows cannot be read.")


@dataclass(frozen=True)
class _Columns:
    """Positions of the columns of a table, None where there is none.

    `times` are start and end, or of `events` time and type; in `sparse` tables, rows without a class belong
    to other tiers.
    """

    video: int | None
    label: int
    times: tuple[int, int]
    unit: Unit
    events: bool = False
    tier: int | None = None
    sparse: bool = False


def _read_table(path: Path, rows: list[Row], table: SegmentTable) -> None:
    first = rows[0][1] if rows else []
    for place, (_, header) in enumerate(rows[:_PREAMBLE]):
        if columns := _find_columns(path, header, rows[place + 1 :], table):
            known = table.settings.videos
            if columns.video is None and known and normal(path.stem) not in known:
                message = f"expected a column `video`, but found {brief(header)}."
                hint = "without one, the name of the file must be that of a video."
                raise DataError(path, None, message, hint=hint)
            return _read_rows(path, len(header), rows[place + 1 :], columns, table)
    if columns := _find_unnamed(first, table.settings):
        return _read_rows(path, len(first), rows, columns, table)
    message = f"expected columns video, label, start and end, but found {brief(first) if first else 'none'}."
    hint = f"labels can be {LABEL_FORMATS}."
    raise DataError(path, rows[0][0] if rows else None, message, hint=hint)


def _find_columns(path: Path, header: list[str], rows: Sequence[Row], table: SegmentTable) -> _Columns | None:
    """Return the columns by their names, or None when these are not names of columns."""
    settings = table.settings
    names = [name.casefold().replace("_", " ") for name in header]
    place = {name: position for position, name in reversed(list(enumerate(names)))}
    spans = [span for span in _SPANS if span[0] in place and span[1] in place]
    events = next((pair for pair in _EVENTS if pair[0] in place and pair[1] in place), None)
    label = next((place[name] for name in _LABEL if name in place), None)
    if not spans and (events is None or label is None):
        return None
    first = rows[0][1] if rows else []
    # Of several columns that may name videos, the one with names of features.
    videos = [place[name] for name in _VIDEO if name in place]
    known = (at for at in videos if len(first) > at and _named(first[at], settings) in settings.videos)
    video = next(known, videos[0] if videos else None)
    if not spans and events is not None and label is not None:
        return _Columns(video, label, (place[events[0]], place[events[1]]), Unit.SECONDS, events=True)
    timed = [span for span in spans if span[2] is not Unit.FRAMES]
    start, end, unit = (timed or spans)[0] if settings.seconds else spans[0]
    sparse = label is None
    if label is None:
        label = _tier_column(path, header, rows, table)
    plain = len(first) == len(header) and ":" not in first[place[start]]
    if unit is Unit.FRAMES and "frame" not in start and settings.seconds and plain:
        message = f"`{start}` and `{end}` may be frames or seconds, and --fps is given."
        hint = "name them start_s and end_s (seconds) or start_frame and end_frame (frames of the features)."
        raise DataError(path, None, message, hint=hint)
    return _Columns(video, label, (place[start], place[end]), unit, tier=place.get("tier"), sparse=sparse)


def _tier_column(path: Path, header: list[str], rows: Sequence[Row], table: SegmentTable) -> int:
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
    return header.index(table.choose_tier(path, counts))


def _find_unnamed(first: list[str], settings: LabelSettings) -> _Columns | None:
    """Return the columns of a table without names: ELAN's text, or start, end and class."""
    for pattern in (_ELAN_CLOCK, _ELAN_SECONDS, _ELAN_MILLISECONDS):
        times = [place for place, text in enumerate(first) if pattern.fullmatch(text)]
        if len(first) > 3 and len(times) > 1 and times[0] > 0:
            unit = Unit.MILLISECONDS if pattern is _ELAN_MILLISECONDS else Unit.SECONDS
            if unit is Unit.MILLISECONDS:  # ELAN's exports have the duration, too
                numbers = [int(first[place]) for place in times[:3]]
                if len(numbers) < 3 or numbers[2] != numbers[1] - numbers[0]:
                    continue
            return _Columns(None, len(first) - 1, (times[0], times[1]), unit, tier=0)
    if len(first) == 3 and all(parse_time(text, Unit.SECONDS) for text in first[:2]):
        return _Columns(None, 2, (0, 1), Unit.SECONDS if settings.seconds else Unit.FRAMES)
    return None


def _read_rows(path: Path, width: int, rows: Sequence[Row], columns: _Columns, table: SegmentTable) -> None:
    tier = None
    if columns.tier is not None:
        counts = Counter(row[columns.tier] for _, row in rows if len(row) == width)
        tier = table.choose_tier(path, counts)
    begun: dict[tuple[str, str], tuple[int, str]] = {}
    points = 0
    for line, row in rows:
        if len(row) != width:
            table.error(path, line, f"expected {width} fields as in the header, but found {len(row)}.")
            continue
        label, first, second = row[columns.label], row[columns.times[0]], row[columns.times[1]]
        if (columns.tier is not None and row[columns.tier] != tier) or (columns.sparse and not label):
            continue
        video = normal(path.stem) if columns.video is None else _named(row[columns.video], table.settings)
        if not video:
            table.error(path, line, "`video` must not be empty.")
            continue
        if columns.video is None:
            table.mention(video, line, path)
        if not columns.events:
            _add(table, video, line, label, (first, second), columns.unit)
        elif second.casefold() == "point":
            points += 1
        elif second.casefold() == "start":
            begun[video, label] = line, first
        elif (start := begun.pop((video, label), None)) is not None:
            _add(table, video, start[0], label, (start[1], first), columns.unit)
        else:
            table.error(path, line, f"{label!r} stops, but has not started.")
    for (_, label), (line, _) in begun.items():
        table.error(path, line, f"{label!r} starts and does not stop.")
    if points:
        table.warn(path, None, f"{points} point events have no duration and are left out.")


def _named(text: str, settings: LabelSettings) -> str:
    """Return the video that a field names: by its name, or by the path of its file."""
    name = normal(re.split(r"[\\/]", text)[-1])
    stem = name.rpartition(".")[0]
    return stem if stem in settings.videos and name not in settings.videos else name


def _add(table: SegmentTable, video: str, line: int, label: str, texts: tuple[str, str], unit: Unit) -> None:
    path = table.file(video)
    start, end = (parse_time(text, unit) for text in texts)
    if start is not None and end is not None and start[1] is end[1]:
        table.settings.require(path, start[1])
        return table.add(video, line, label, (start[0], end[0]), start[1])
    table.mentions.setdefault(video, line)
    expected = "a whole number of frames >= 0" if unit is Unit.FRAMES else f"{unit.name.lower()} >= 0"
    for name, text, time in zip(("start", "end"), texts, (start, end), strict=True):
        if time is None:
            message = f"`{name}` must be {expected} or hh:mm:ss, but is {brief(repr(text))} instead."
            table.error(path, line, message)
    if start is not None and end is not None:
        message = f"`start` and `end` must be in one unit, but are {texts[0]!r} and {texts[1]!r} instead."
        table.error(path, line, message)
    return None
