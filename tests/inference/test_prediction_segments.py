"""Segments and their files, read back by libraries that know nothing of us."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
import srt
from hypothesis import given
from hypothesis import strategies as st
from pympi.Elan import Eaf
from scipy.stats import entropy

from g2l.errors import InputError
from g2l.inference.segments import (
    Annotation,
    Format,
    SegmentRow,
    check_formats,
    segment_means,
    segment_rows,
    write_eaf,
    write_json_segments,
    write_srt,
)
from g2l.metrics.segments import segments

CLASSES = ("background", 'cut, "thin"', "pour", "stir")
COLUMNS = [
    *["video", "segment", "label", "start_frame", "end_frame"],
    *["start_s", "end_s", "confidence", "entropy"],
]


def video(num_frames, seed, classes=4):
    """Return labels with runs, not always the most probable ones, and probabilities."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(generator.integers(0, classes, num_frames), generator.integers(1, 6, num_frames))
    probabilities = generator.dirichlet(np.full(classes, 0.3), num_frames).T.astype(np.float32)
    return labels[:num_frames], probabilities


def rows_of(labels, fps=None, confidence=1.0):
    probabilities = np.full((3, len(labels)), (1 - confidence) / 2, np.float32)
    probabilities[labels, np.arange(len(labels))] = confidence
    return segment_rows("video", np.array(labels, np.int64), probabilities, CLASSES, fps)


def test_literal_numbers():
    probabilities = np.array([[0.5, 0.75, 0], [0.5, 0.25, 1]], np.float32)
    rows = segment_rows("v", np.array([0, 0, 1]), probabilities, CLASSES, None)
    assert [(row.end_frame, row.confidence) for row in rows] == [(2, 0.625), (3, 1)]
    quarter = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert [row.entropy for row in rows] == [round((np.log(2) + quarter) / 2, 4), 0]


@given(num_frames=st.integers(1, 60), seed=st.integers(0, 1000), block=st.sampled_from([1, 7, 8192]))
def test_scores_are_those_of_each_segment_alone_whatever_the_blocks(num_frames, seed, block):
    labels, probabilities = video(num_frames, seed)
    found = segments(labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("g2l.inference.segments._BLOCK", block)
        confidence, wavering = segment_means(found, labels, probabilities)
    for number, (label, start, end) in enumerate(zip(found.labels, found.starts, found.ends, strict=True)):
        part = probabilities[:, start:end].astype(float)
        assert confidence[number] == pytest.approx(part[label].mean(), abs=1e-9)
        assert wavering[number] == pytest.approx(entropy(part).mean(), abs=1e-5)


FPS = 29.97
NAMES = ["background", 'cut "thin" & <b>fine</b>', "pour, stir; {\\an8}", "切る 🥒", "1 --> 2", "-"]

labels = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
cuts = st.lists(st.tuples(labels | st.sampled_from(NAMES), st.integers(1, 90_000)), min_size=1, max_size=8)


def timed_rows(runs, fps=FPS):
    rows, start = [], 0
    for number, (label, length) in enumerate(runs):
        end = start + length
        seconds = (None, None) if fps is None else (round(start / fps, 3), round(end / fps, 3))
        rows.append(SegmentRow("v", number, label, start, end, *seconds, 0.8765, 0.4322))
        start = end
    return rows


def milliseconds(rows):
    return [(round(1000 * row.start_s), round(1000 * row.end_s)) for row in rows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("formats")


@given(cuts)
def test_json(folder, runs):
    rows = timed_rows(runs)
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
    first = {
        "start_s": 0,
        "end_s": round(rows[0].end_frame / FPS, 3),
        "confidence": 0.8765,
        "entropy": 0.4322,
    }
    assert found["segments"][0].items() >= first.items()
    assert len(found["segments"][0]) == 7


@given(cuts)
def test_srt(folder, runs):
    rows = timed_rows(runs)
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
    rows = timed_rows(runs)
    write_eaf(folder / "v.eaf", Annotation("v", rows, FPS))
    found = Eaf(str(folder / "v.eaf"))
    assert list(found.get_tier_names()) == ["prediction"]
    assert sorted(found.get_annotation_data_for_tier("prediction")) == [
        (*times, row.label) for times, row in zip(milliseconds(rows), rows, strict=True)
    ]


@pytest.mark.parametrize("video", ["P01_cam01", "P01 a&b #1 100%", "сцена"])
def test_the_medium_of_an_eaf_is_beside_it_wherever_that_is(folder, video):
    write_eaf(folder / "v.eaf", Annotation(video, timed_rows([("cut", 3)]), FPS))
    (medium,) = Eaf(str(folder / "v.eaf")).get_linked_files()
    assert medium["MEDIA_URL"] == medium["RELATIVE_MEDIA_URL"]
    assert re.fullmatch(r"\./[\w.%~-]+\.mp4", medium["MEDIA_URL"], re.ASCII)
    assert str(folder) not in (folder / "v.eaf").read_text()


def test_an_eaf_is_built_as_its_schema_says(folder):
    """Order of elements, required attributes, identifiers: EAFv3.0.xsd."""
    write_eaf(folder / "v.eaf", Annotation("v", timed_rows([("cut", 3), ("pour", 2)]), FPS))
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
    write_eaf(folder / "v.eaf", Annotation("v", timed_rows([("a\nb\t\x07\ufffe", 3)]), FPS))
    ((_, _, label),) = Eaf(str(folder / "v.eaf")).get_annotation_data_for_tier("prediction")
    assert label == "a\nb\t\ufffd\ufffd"


def test_formats_that_count_time_need_the_frame_rate():
    check_formats([Format.CSV, Format.JSON, Format.MSTCN], ["cut"], None)
    for each in (Format.EAF, Format.SRT):
        with pytest.raises(InputError, match=f"^format {each} needs times, but the frame rate") as caught:
            check_formats([each], ["cut"], None)
        assert caught.value.hint == "give --fps."


@pytest.mark.parametrize(
    ("each", "name", "message"),
    [
        (Format.MSTCN, "cut bread", "separate class names by spaces, so 'cut bread' cannot"),
        (Format.CSV, "", "must differ and not be blank, but the model has ''"),
        (Format.CSV, "cut", "must differ and not be blank, but the model has 'cut'"),
        (Format.CSV, "a\nb", "must each fit on a line of text, but the model has 'a"),
        (Format.CSV, "a\r", "must each fit on a line of text, but the model has 'a"),
        (Format.CSV, "\udc80", "must each fit on a line of text, but the model has '"),
    ],
)
def test_class_names_that_a_file_cannot_hold(each, name, message):
    with pytest.raises(InputError, match=message):
        check_formats([each], ["cut", name], 15.0)
    check_formats([each], ["cut", "切る"], 15.0)
    check_formats([Format.CSV], ["cut bread", "a\x0cb"], 15.0)
