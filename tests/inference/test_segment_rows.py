from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.inference.segments import SegmentRow, segment_rows, write_segments
from g2l.inference.segment_scores import score_segments

CLASSES = ("background", 'cut, "thin"', "pour")
COLUMNS = [
    "video",
    "segment",
    "label",
    "start_frame",
    "end_frame",
    "start_s",
    "end_s",
    "confidence",
    "entropy",
]


def rows_of(labels, fps=None, confidence=1.0):
    probabilities = np.full((3, len(labels)), (1 - confidence) / 2, np.float32)
    probabilities[labels, np.arange(len(labels))] = confidence
    return segment_rows("video", score_segments(np.array(labels, np.int64), probabilities), CLASSES, fps)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_rows_tile_the_video(labels):
    rows = rows_of(labels)
    spelled = [name for row in rows for name in [row.label] * (row.end_frame - row.start_frame)]
    assert spelled == [CLASSES[label] for label in labels]
    assert [row.segment for row in rows] == list(range(len(rows)))
    assert all(first.end_frame == after.start_frame for first, after in pairwise(rows))
    assert all(first.label != after.label for first, after in pairwise(rows))


def test_confidence_and_entropy_have_four_digits():
    (row,) = rows_of([0, 0], confidence=0.5)
    assert row.cells()[-2:] == ("0.5000", f"{1.5 * np.log(2):.4f}")


def test_seconds_are_given_where_fps_is_known():
    rows = rows_of([0, 0, 0, 1], 15.0)
    assert [row.cells()[5:7] for row in rows] == [("0.000", "0.200"), ("0.200", "0.267")]
    assert {row.start_s for row in rows_of([0, 1])} == {None}
    assert {row.cells()[5] for row in rows_of([0, 1])} == {""}


def test_the_file_has_the_columns_of_the_contract_and_quotes_names(tmp_path):
    write_segments(tmp_path / "segments.csv", rows_of([1, 1, 0], 1.0))
    table = pandas.read_csv(tmp_path / "segments.csv")
    assert list(table.columns) == COLUMNS
    assert table.iloc[0].tolist() == ["video", 0, CLASSES[1], 0, 2, 0, 2, 1, 0]
    assert table.iloc[1].tolist()[:3] == ["video", 1, "background"]


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=8)


@given(names, names)
def test_any_name_comes_back_from_the_table(tmp_path_factory, video, label):
    path = tmp_path_factory.mktemp("table") / "segments.csv"
    write_segments(path, [SegmentRow(video, 0, label, 0, 1, None, None, 1, 0)])
    table = pandas.read_csv(path, dtype=str, keep_default_na=False)
    assert table.loc[0, ["video", "label"]].tolist() == [video, label]


@pytest.mark.parametrize("rows", [[], ()])
def test_without_segments_only_the_header_is_written(tmp_path, rows):
    write_segments(tmp_path / "segments.csv", rows)
    assert (tmp_path / "segments.csv").read_text() == ",".join(COLUMNS) + "\n"
