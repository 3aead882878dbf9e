"""Segments in each format, read back by libraries that know nothing of us."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest
import srt
from hypothesis import given
from hypothesis import strategies as st
from pympi.Elan import Eaf

from g2l.errors import InputError
from g2l.inference.formats import (
    WRITERS,
    Annotation,
    Format,
    check_formats,
    write_eaf,
    write_json_segments,
    write_srt,
)
from g2l.inference.segments import SegmentRow

FPS = 29.97
NAMES = ["background", 'cut "thin" & <b>fine</b>', "pour, stir; {\\an8}", "切る 🥒", "1 --> 2", "-"]

labels = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
cuts = st.lists(st.tuples(labels | st.sampled_from(NAMES), st.integers(1, 90_000)), min_size=1, max_size=8)


def rows_of(runs, fps=FPS):
    rows, start = [], 0
    for number, (label, length) in enumerate(runs):
        end = start + length
        seconds = (None, None) if fps is None else (start / fps, end / fps)
        rows.append(SegmentRow("v", number, label, start, end, *seconds, 0.87654, 0.43219))
        start = end
    return rows


def milliseconds(rows):
    return [(round(1000 * row.start_frame / FPS), round(1000 * row.end_frame / FPS)) for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


@given(cuts)
def test_json(folder, runs):
    rows = rows_of(runs)
    write_json_segments(folder / "v.json", Annotation("v", rows, FPS))
    found = json.loads((folder / "v.json").read_text())
    assert {name: found[name] for name in ("schema", "video", "fps", "frames")} == {
        "schema": "g2l.segments/1",
        "video": "v",
        "fps": FPS,
        "frames": rows[-1].end_frame,
    }
    assert [(each["label"], each["start_frame"], each["end_frame"]) for each in found["segments"]] == [
        (row.label, row.start_frame, row.end_frame) for row in rows
    ]
    first = found["segments"][0]
    assert (first["start_s"], first["end_s"]) == (0, round(rows[0].end_frame / FPS, 3))
    assert (first["confidence"], first["entropy"]) == (0.8765, 0.4322)


def test_json_without_a_frame_rate_has_no_seconds(folder):
    write_json_segments(folder / "v.json", Annotation("v", rows_of([("cut", 3)], None), None))
    found = json.loads((folder / "v.json").read_text())
    assert (found["fps"], found["segments"][0]["start_s"], found["segments"][0]["end_s"]) == (None,) * 3


@given(cuts)
def test_srt(folder, runs):
    rows = rows_of(runs)
    write_srt(folder / "v.srt", Annotation("v", rows, FPS))
    found = list(srt.parse((folder / "v.srt").read_text(encoding="utf-8"), ignore_errors=False))
    assert [cue.content for cue in found] == [row.label for row in rows]
    assert [cue.index for cue in found] == list(range(1, len(rows) + 1))
    assert [(cue.start, cue.end) for cue in found] == [
        (timedelta(milliseconds=start), timedelta(milliseconds=end)) for start, end in milliseconds(rows)
    ]


def test_srt_counts_hours_and_keeps_a_label_on_one_line(folder):
    write_srt(
        folder / "v.srt", Annotation("v", [SegmentRow("v", 0, "a\n\nb", 0, 1, 3599.9996, 36000.5, 1, 0)], 1.0)
    )
    assert (folder / "v.srt").read_text() == "1\n01:00:00,000 --> 10:00:00,500\na b\n\n"


@given(cuts)
def test_eaf(folder, runs):
    rows = rows_of(runs)
    write_eaf(folder / "v.eaf", Annotation("v", rows, FPS))
    found = Eaf(str(folder / "v.eaf"))
    assert list(found.get_tier_names()) == ["prediction"]
    assert sorted(found.get_annotation_data_for_tier("prediction")) == [
        (*times, row.label) for times, row in zip(milliseconds(rows), rows, strict=True)
    ]


@pytest.mark.parametrize("video", ["P01_cam01", "P01 a&b #1 100%", "сцена"])
def test_the_medium_of_an_eaf_is_beside_it_wherever_that_is(folder, video):
    write_eaf(folder / "v.eaf", Annotation(video, rows_of([("cut", 3)]), FPS))
    (medium,) = Eaf(str(folder / "v.eaf")).get_linked_files()
    assert medium["MEDIA_URL"] == medium["RELATIVE_MEDIA_URL"]
    assert re.fullmatch(r"\./[\w.%~-]+\.mp4", medium["MEDIA_URL"], re.ASCII)
    assert str(folder) not in (folder / "v.eaf").read_text()


def test_an_eaf_is_built_as_its_schema_says(folder):
    """Order of elements, required attributes, identifiers: EAFv3.0.xsd."""
    write_eaf(folder / "v.eaf", Annotation("v", rows_of([("cut", 3), ("pour", 2)]), FPS))
    root = ElementTree.parse(folder / "v.eaf").getroot()
    assert [element.tag for element in root] == ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE"]
    assert {"AUTHOR", "DATE", "VERSION", "FORMAT"} <= set(root.keys())
    assert datetime.fromisoformat(root.get("DATE")).tzinfo is not None
    (place,) = (value for name, value in root.items() if name.endswith("noNamespaceSchemaLocation"))
    assert place == "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
    slots = [slot.get("TIME_SLOT_ID") for slot in root.iter("TIME_SLOT")]
    times = [int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")]
    assert all(before <= after for before, after in pairwise(times))
    annotations = list(root.iter("ALIGNABLE_ANNOTATION"))
    used = [each.get(f"TIME_SLOT_REF{end}") for each in annotations for end in (1, 2)]
    assert used == slots
    identifiers = [*slots, *(each.get("ANNOTATION_ID") for each in annotations)]
    assert len(set(identifiers)) == len(identifiers) == 6
    assert root.find("TIER").get("LINGUISTIC_TYPE_REF") == root.find("LINGUISTIC_TYPE").get(
        "LINGUISTIC_TYPE_ID"
    )


def test_line_breaks_stay_in_an_eaf_and_what_xml_cannot_hold_is_replaced(folder):
    write_eaf(folder / "v.eaf", Annotation("v", rows_of([("a\nb\t\x07\ufffe", 3)]), FPS))
    ((_, _, label),) = Eaf(str(folder / "v.eaf")).get_annotation_data_for_tier("prediction")
    assert label == "a\nb\t\ufffd\ufffd"


@pytest.mark.parametrize("each", WRITERS)
def test_every_file_is_there_whole_or_not_at_all(folder, each):
    suffix, write = WRITERS[each]
    place = folder / each
    write(place / f"v{suffix}", Annotation("v", rows_of([("cut", 3)]), FPS))
    before = (place / f"v{suffix}").read_bytes()
    with pytest.raises((TypeError, AttributeError)):
        write(place / f"v{suffix}", "v", [*rows_of([("cut", 3)]), None], FPS)
    assert [path.name for path in place.iterdir()] == [f"v{suffix}"]
    assert (place / f"v{suffix}").read_bytes() == before


def test_formats_that_count_time_need_the_frame_rate():
    check_formats([Format.CSV, Format.JSON, Format.MSTCN], ["cut"], None)
    for each in (Format.EAF, Format.SRT):
        with pytest.raises(InputError, match=f"^format {each} counts time, but the model does not") as caught:
            check_formats([each], ["cut"], None)
        assert caught.value.hint == "give --fps."
    with pytest.raises(InputError, match=r"separate class names by spaces, so 'cut bread' cannot"):
        check_formats([Format.MSTCN], ["cut", "cut bread"], 15.0)
