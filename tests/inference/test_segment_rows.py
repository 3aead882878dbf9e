from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.inference.predictor import VideoPrediction
from g2l.inference.segment_rows import segment_rows, write_segments

CLASSES = ("background", 'cut, "thin"', "pour")
COLUMNS = ["video", "segment", "label", "start_frame", "end_frame", "start_s", "end_s", "confidence"]


def prediction(labels, confidence=1.0):
    probabilities = np.full((3, len(labels)), (1 - confidence) / 2, np.float32)
    probabilities[labels, np.arange(len(labels))] = confidence
    return VideoPrediction("video", Path("video.npy"), np.asarray(labels, np.int64), probabilities)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_rows_tile_the_video(labels):
    rows = segment_rows(prediction(labels), CLASSES, None)
    spelled = [name for row in rows for name in [row.label] * (row.end_frame - row.start_frame)]
    assert spelled == [CLASSES[label] for label in labels]
    assert [row.segment for row in rows] == list(range(len(rows)))
    assert all(first.end_frame == after.start_frame for first, after in pairwise(rows))
    assert all(first.label != after.label for first, after in pairwise(rows))


def test_confidence_is_the_mean_probability_over_the_segment():
    video = prediction([0, 0, 2], 0.5)
    video.probabilities[0, 1] = 0.75
    assert [row.confidence for row in segment_rows(video, CLASSES, None)] == ["0.6250", "0.5000"]


def test_seconds_are_given_where_fps_is_known():
    rows = segment_rows(prediction([0, 0, 0, 1]), CLASSES, 15.0)
    assert [(row.start_s, row.end_s) for row in rows] == [("0.000", "0.200"), ("0.200", "0.267")]
    assert {row.start_s + row.end_s for row in segment_rows(prediction([0, 1]), CLASSES, None)} == {""}


def test_the_file_has_the_columns_of_the_contract_and_quotes_names(tmp_path):
    write_segments(tmp_path / "segments.csv", segment_rows(prediction([1, 1, 0]), CLASSES, 1.0))
    header, first, second = csv.reader((tmp_path / "segments.csv").read_text().splitlines())
    assert header == COLUMNS
    assert first == ["video", "0", CLASSES[1], "0", "2", "0.000", "2.000", "1.0000"]
    assert second[:3] == ["video", "1", "background"]


@pytest.mark.parametrize("rows", [[], ()])
def test_without_segments_only_the_header_is_written(tmp_path, rows):
    write_segments(tmp_path / "segments.csv", rows)
    assert (tmp_path / "segments.csv").read_text().count("\n") == 1
