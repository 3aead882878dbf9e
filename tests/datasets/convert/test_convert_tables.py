"""Tables and lists of segments of every kind that people have, and every way in which they can be broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from g2l.datasets.convert.segments import LabelSettings, SegmentTable
from g2l.datasets.convert.tables import read_text_labels
from g2l.datasets.errors import DataError

HEADER = "video,label,start,end\n"
BORIS = "Observation id,FPS,Subject,Behavior,Behavior type,Start (s),Stop (s),Media file name\n"
EVENTS = "Observation id,x\nMedia file(s),\n\nTime,Media file path,Total length,FPS,Subject,Behavior,Status\n"
TIMES = "Begin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\tEnd Time - ss.msec"
ELAN = f"{TIMES}\thands\tnotes\n"


def read(
    path: Path, text: str | bytes, fps: float | None = None, **settings: Any
) -> tuple[SegmentTable, list[DataError]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    seconds = fps is not None and "label_fps" not in settings
    table = SegmentTable(path, LabelSettings(fps, seconds=seconds, **settings))
    read_text_labels(path, table)
    return table, table.issues


def spans(table: SegmentTable, video: str = "a") -> list[tuple[str, int, int]]:
    return [(segment.label, segment.start, segment.end) for segment in table.segments[video]]


@pytest.mark.parametrize(
    "text",
    [
        "video,label,start,end\na,cut,0,5\na,stir,5,9\n",
        "\ufeffvideo, Class ,start_frame,end_frame\na, cut ,0, 5\n\na,stir,5,9\n,,,\n",
        'video,label,start,end\n"a","cut","0","5"\na,stir,5.0,9.0\n',
        "\ufeffvideo;label;start;end\r\na;cut;0;5\r\na;stir;5;9\r\n".encode("utf-16-le"),
        "label,start,end\ncut,0,5\nstir,5,9\n",  # of the video that the file is named after
        "0,5,cut\n5,9,stir\n",
        "1-5 cut\n6-9 stir\n",
        "0-4 cut\n5-8 stir\n",  # counted from 0
    ],
)
def test_columns_are_found_by_name(tmp_path: Path, text: str | bytes) -> None:
    table, issues = read(tmp_path / "a.csv", text)
    assert issues == []
    assert spans(table) == [("cut", 0, 5), ("stir", 5, 9)]


@pytest.mark.parametrize(
    ("text", "fps"),
    [
        ("0 5 cut\n5 9 stir it\n", None),
        ("0\t0.5\tcut\n0.5\t0.9\tstir it\n", 10.0),
        ("0.0 0.5 cut\n0.5 0.9 stir it\n", 10.0),
        ("00:00 00:00.5 cut\n00:00:00.500 00:00:00.900 stir it\n", 10.0),
    ],
)
def test_lists_of_start_end_and_class(tmp_path: Path, text: str, fps: float | None) -> None:
    table, issues = read(tmp_path / "a.txt", text, fps)
    assert issues == []
    assert spans(table) == [("cut", 0, 5), ("stir it", 5, 9)]
    assert table.whole == set()


@pytest.mark.parametrize(
    "text",
    [
        "hands\t\t0\t500\t500\tcut\nhands\t\t500\t900\t400\tstir it\n",  # ELAN's export in milliseconds
        "0.0\t0.5\tcut\n0.5\t0.9\tstir it\n0.7\t0.7\ta point in time\n",  # Audacity's labels
    ],
)
def test_exports_without_names_of_columns(tmp_path: Path, text: str) -> None:
    table, issues = read(tmp_path / "a.txt", text, 10.0)
    assert [issue.severity for issue in issues] == ["warning"] * ("point" in text)
    assert spans(table) == [("cut", 0, 5), ("stir it", 5, 9)]


def test_exports_of_boris(tmp_path: Path) -> None:
    rows = "obs,25,me,cut,STATE,0.5,1.0,videos/a.mp4\nobs,25,me,stir,STATE,1.0,2.26,videos/a.mp4\n"
    table, issues = read(tmp_path / "s.csv", BORIS + rows, 10.0, videos=("a",))
    assert (issues, spans(table)) == ([], [("cut", 5, 10), ("stir", 10, 23)])
    events = "0.5,v/a.mp4,9,25,me,cut,START\n0.7,v/a.mp4,9,25,me,beep,POINT\n1.0,v/a.mp4,9,25,me,cut,STOP\n"
    table, issues = read(tmp_path / "s.csv", EVENTS + events, 10.0, videos=("a",))
    assert spans(table) == [("cut", 5, 10)]
    assert [issue.reason for issue in issues] == ["1 point events have no duration and are left out."]
    first, _, last = events.splitlines()
    _, issues = read(tmp_path / "s.csv", f"{EVENTS}{last}\n{first}\n", 10.0)
    assert ["stops" in issue.reason or "starts" in issue.reason for issue in issues] == [True, True]


def test_exports_of_elan(tmp_path: Path) -> None:
    rows = "00:00:00.500\t0.5\t00:00:01.000\t1.0\tcut\t\n00:00:00.700\t0.7\t00:00:00.900\t0.9\t\tlook\n"
    table, issues = read(tmp_path / "a.txt", ELAN + rows, 10.0, tier="hands")
    assert (issues, spans(table)) == ([], [("cut", 5, 10)])
    with pytest.raises(DataError, match=r"expected one tier, but found 'hands' with 1 .*'notes' with 1"):
        read(tmp_path / "a.txt", ELAN + rows, 10.0)
    unnamed = "hands\t\t00:00:00.500\t0.5\t00:00:01.000\t1.0\t00:00:00.500\t0.5\tcut\n"
    table, issues = read(tmp_path / "a.txt", unnamed + unnamed.replace("hands", "notes"), 10.0, tier="hands")
    assert (issues, spans(table)) == ([], [("cut", 5, 10)])


def test_labels_at_another_rate_and_offset(tmp_path: Path) -> None:
    text = "video,label,start,end\na,cut,0,30\na,stir,30,31\na,pour,31,60\n"
    table, issues = read(tmp_path / "s.csv", text, 10.0, label_fps=30.0)
    assert spans(table) == [("cut", 0, 10), ("pour", 10, 20)]
    assert (table.label_frames, table.left_out) == (60, 1)
    assert "lasts less than a frame" in issues[0].message
    table, issues = read(tmp_path / "s.csv", text, 10.0, label_fps=10.0, offset=-0.5)
    assert spans(table)[0] == ("cut", 0, 25)
    assert "starts 5 frames before the features: it is clipped" in issues[0].message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,cut,5,5", "'cut' must end after it starts, but starts at 5 and ends at 5"),
        ("a,,0,5", "expected a class name, but '' is empty"),
        ('a,"cut\nbread",0,5', r"'cut\\nbread' holds a line break"),
        ("a,cut,x,5", r"`start` must be a whole number of frames >= 0 or hh:mm:ss, but is 'x' instead"),
        ("a,cut,-1,5", "`start` must be a whole number .* but is '-1' instead"),
        ("a,cut,0,5.5", "`end` must be a whole number .* but is '5.5' instead"),
        ("a,cut,0,00:61", "`end` must be .* but is '00:61' instead"),
        ("a,cut,0,00:10", "must be in one unit, but are '0' and '00:10'"),
        (",cut,0,5", "`video` must not be empty"),
        ("a,cut,0", "expected 4 fields as in the header, but found 3"),
    ],
)
def test_every_refused_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    table, issues = read(tmp_path / "s.csv", f"{HEADER}a,stir,7,9\n{row}\na,pour,10,12\n")
    assert len(issues) == 1
    assert str(issues[0]).startswith(f"{tmp_path / 's.csv'}:3: ")
    with pytest.raises(DataError, match=message):
        raise issues[0]
    assert [segment.label for segment in table.segments["a"]] == ["stir", "pour"]


@pytest.mark.parametrize(
    ("name", "text", "fps", "message", "hint"),
    [
        ("s.csv", "video,start,end\n", None, "expected a column `label`", "labels can be a table"),
        ("s.csv", "video,label\n", None, "expected columns video, label, start and end", "labels can be"),
        ("s.csv", "video,label,start_s,end_s\na,b,0,1\n", None, "frame rate .* unknown", "give --fps"),
        ("s.csv", f"{HEADER}a,b,0,1\n", 30.0, "`start` and `end` may be frames or seconds", "start_frame"),
        ("s.txt", "a b\tc\nd\n", None, "expected columns", "`1-30 class`"),
    ],
)
def test_files_that_are_no_table_say_what_is_read(
    tmp_path: Path, name: str, text: str, fps: float | None, message: str, hint: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / name, text, fps)
    assert caught.value.path == tmp_path / name
    assert hint in (caught.value.hint or "")


def test_rows_that_cannot_be_told_apart_end_the_reading(tmp_path: Path) -> None:
    table, issues = read(tmp_path / "s.csv", f'{HEADER}a,cut,0,5\na,"stir,5,9\na,cut,9,11\n')
    assert [issue.line for issue in issues] == [3]
    assert "is not a row of a table (unexpected end of data)" in issues[0].message
    assert len(table.segments["a"]) == 1
