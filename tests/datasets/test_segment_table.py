from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.faults import DataError, Fault, Severity
from g2l.datasets.segment_table import Segment, SegmentTable, label_fault, read_segments

HEADER = "video,label,start,end\n"


def read(path: Path, text: str | bytes, fps: float | None = None) -> tuple[SegmentTable, list[Fault]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    faults: list[Fault] = []
    return read_segments(path, fps, faults), faults


@pytest.mark.parametrize(
    "text",
    [
        "video,label,start,end\na,cut,0,5\na,stir,5,9\n",
        "video,class,start,end\r\na,cut,0,5\r\na,stir,5,9",
        "\ufeffvideo, Class ,start_frame,end_frame\na, cut ,0, 5\n\na,stir,5,9\n,,,\n",
        "index,End,start,label,video\n0,5,0,cut,a\n1,9,5,stir,a\n",
        'video,label,start,end\n"a","cut","0","5"\na,stir,5.0,9.0\n',
    ],
)
def test_columns_are_found_by_name(tmp_path: Path, text: str) -> None:
    table, faults = read(tmp_path / "s.csv", text)
    assert faults == []
    assert [(s.label, s.start, s.end) for s in table.segments["a"]] == [("cut", 0, 5), ("stir", 5, 9)]


def test_tabs_and_lines(tmp_path: Path) -> None:
    table, faults = read(tmp_path / "s.TSV", "video\tlabel\tstart\tend\n\nb.1\tcut, fine\t3\t4\n")
    assert faults == []
    assert table.segments == {"b.1": [Segment(3, "cut, fine", 3, 4)]}
    assert table.mentions == {"b.1": 3}


def test_seconds_are_rounded_to_frames_and_neighbours_meet(tmp_path: Path) -> None:
    rows = "a,cut,0,0.5\na,stir,0.5,1.26\na,cut,1.26,1.29\n"
    table, faults = read(tmp_path / "s.csv", "video,label,start_s,end_s\n" + rows, fps=5)
    assert [(s.start, s.end) for s in table.segments["a"]] == [(0, 3), (3, 6)]
    assert [(fault.line, fault.severity) for fault in faults] == [(4, Severity.WARNING)]
    assert "lasts less than a frame at 5 frames per second and is left out" in faults[0].message


def test_own_predictions_are_read_in_either_unit(tmp_path: Path) -> None:
    text = "video,segment,label,start_frame,end_frame,start_s,end_s,confidence\na,0,cut,0,30,0.0,2.0,0.9\n"
    assert read(tmp_path / "s.csv", text)[0].segments["a"][0].end == 30
    assert read(tmp_path / "s.csv", text, fps=10)[0].segments["a"][0].end == 20


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,cut,5,5", r"`end` must be > `start` 5, but is 5 instead"),
        ("a,cut,5,4", r"`end` must be > `start` 5, but is 4 instead"),
        ("a,,0,5", r"`label` is empty"),
        ("a, ,0,5", r"`label` is empty"),
        ('a,"cut\nbread",0,5', r"`label` holds a line break: 'cut\\nbread'"),
        ("a,cut\u2028bread,0,5", r"`label` holds a line break"),
        ("a,cut\tbread,0,5", r"`label` holds a control character"),
        ("a,cut,x,5", r"`start` must be a whole number of frames >= 0, but is 'x' instead"),
        ("a,cut,,5", r"`start` must be a whole number .* but is '' instead"),
        ("a,cut,-1,5", r"`start` must be a whole number .* but is '-1' instead"),
        ("a,cut,0,5.5", r"`end` must be a whole number .* but is '5.5' instead"),
        ("a,cut,0,nan", r"`end` must be .* but is 'nan' instead"),
        ("a,cut,0,inf", r"`end` must be .* but is 'inf' instead"),
        ("a,cut,0,1_0", r"`end` must be .* but is '1_0' instead"),
        ("a,cut,0,1e999", r"`end` must be .* but is '1e999' instead"),
        (",cut,0,5", r"`video` must not be empty"),
        ("a,cut,0", r"expected 4 fields as in the header, but found 3"),
        ("a,cut,0,5,6", r"expected 4 fields as in the header, but found 5"),
    ],
)
def test_every_refused_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    table, faults = read(tmp_path / "s.csv", f"{HEADER}a,stir,7,9\n{row}\na,pour,10,12\n")
    assert len(faults) == 1
    assert str(faults[0]).startswith(f"{tmp_path / 's.csv'}:3: ")
    with pytest.raises(DataError, match=message):
        raise DataError(faults[0])
    assert [segment.label for segment in table.segments["a"]] == ["stir", "pour"]


def test_one_row_may_have_several_faults_and_lines_after_a_quoted_break_are_right(tmp_path: Path) -> None:
    _, faults = read(tmp_path / "s.csv", f'{HEADER}a,"x\ny",z,5\na,,0,q\n')
    assert [fault.line for fault in faults] == [2, 2, 4, 4]


@pytest.mark.parametrize(
    ("header", "fps", "message", "hint"),
    [
        ("video,start,end", None, "a column `label` or `class`, but found", "names the columns"),
        ("video,label,class,start,end", None, "only one of `label` or `class`", "names the columns"),
        ("video,label,start,start_frame,end", None, "only one of `start` or `start_frame`", "the columns"),
        ("video,label,start_s,end_s", None, "a column `start` or `start_frame`", "give --fps"),
        ("video,label,start,end", 30.0, "a column `start_s`", "leave it out, or rename"),
        ("video;label;start;end", None, "a column `video`, but found .*video;label", "names the columns"),
    ],
)
def test_columns_that_are_missing_or_double(
    tmp_path: Path, header: str, fps: float | None, message: str, hint: str
) -> None:
    with pytest.raises(DataError, match=rf"s\.csv:1: expected {message}") as caught:
        read(tmp_path / "s.csv", f"{header}\n", fps)
    assert hint in (caught.value.hint or "")


def test_files_that_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_segments(tmp_path / "none.csv", None, [])
    with pytest.raises(DataError, match=r"s\.txt: expected a table of segments: a \.csv or a \.tsv file"):
        read(tmp_path / "s.txt", HEADER)
    with pytest.raises(DataError, match="but found no header"):
        read(tmp_path / "s.csv", "")
    with pytest.raises(DataError, match=r"s\.csv:2: expected UTF-8 text"):
        read(tmp_path / "s.csv", HEADER.encode() + b"a,\xe4,0,5\n")


def test_rows_that_cannot_be_told_apart_end_the_reading(tmp_path: Path) -> None:
    table, faults = read(tmp_path / "s.csv", f'{HEADER}a,cut,0,5\na,"stir,5,9\na,cut,9,11\n')
    assert [fault.line for fault in faults] == [3]
    assert "is no row of a table (unexpected end of data)" in faults[0].message
    assert len(table.segments["a"]) == 1


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "s.csv"
    table, faults = read(path, HEADER + text)
    assert all("\n" not in str(fault) for fault in faults)
    for segments in table.segments.values():
        assert all(0 <= segment.start < segment.end for segment in segments)
        assert all(label_fault(segment.label) is None for segment in segments)
