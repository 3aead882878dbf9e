from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from g2l.inference.segments import SegmentRow, frame_entropy, segment_means, segment_rows, write_segments
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
    assert [row.entropy for row in rows] == pytest.approx([(np.log(2) + quarter) / 2, 0], abs=1e-7)


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


def test_a_memory_map_is_as_good_as_an_array(tmp_path):
    labels, probabilities = video(50, 3)
    np.save(tmp_path / "p.npy", probabilities)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    rows = [segment_rows("v", labels, each, CLASSES, 15.0) for each in (probabilities, mapped)]
    assert rows[0] == rows[1]


def test_certainty_has_no_entropy_and_uniform_guessing_the_most():
    assert frame_entropy(np.eye(3, dtype=np.float32)).tolist() == [0, 0, 0]
    assert frame_entropy(np.full((48, 2), 1 / 48, np.float32)) == pytest.approx(np.log([48, 48]))
    assert (frame_entropy(np.array([[1 + 1e-6], [0]], np.float32)) == 0).all()


def test_lengths_must_fit():
    with pytest.raises(ValueError, match="labels do not fit"):
        segment_rows("v", np.zeros(3, np.int64), np.zeros((2, 4)), CLASSES, None)


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
