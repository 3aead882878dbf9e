from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from g2l.inference.segment_scores import SegmentScorer, frame_entropy, score_segments
from g2l.metrics.segments import segments


def video(num_frames, seed, classes=4):
    """Return labels with runs, not always the most probable ones, and probabilities."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(generator.integers(0, classes, num_frames), generator.integers(1, 6, num_frames))
    probabilities = generator.dirichlet(np.full(classes, 0.3), num_frames).T.astype(np.float32)
    return labels[:num_frames], probabilities


def test_literal_numbers():
    probabilities = np.array([[0.5, 0.75, 0], [0.5, 0.25, 1]], np.float32)
    scored = score_segments(np.array([0, 0, 1]), probabilities)
    assert scored.segments.ends.tolist() == [2, 3]
    assert scored.confidence.tolist() == [0.625, 1]
    quarter = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert scored.entropy == pytest.approx([(np.log(2) + quarter) / 2, 0], abs=1e-7)


@given(num_frames=st.integers(1, 60), seed=st.integers(0, 1000))
def test_scores_are_those_of_each_segment_by_itself(num_frames, seed):
    labels, probabilities = video(num_frames, seed)
    scored, found = score_segments(labels, probabilities), segments(labels)
    for field in ("labels", "starts", "ends"):
        assert getattr(scored.segments, field).tolist() == getattr(found, field).tolist()
    for number, (label, start, end) in enumerate(zip(found.labels, found.starts, found.ends, strict=True)):
        part = probabilities[:, start:end].astype(float)
        assert scored.confidence[number] == pytest.approx(part[label].mean(), abs=1e-9)
        assert scored.entropy[number] == pytest.approx(entropy(part).mean(), abs=1e-5)


@given(
    num_frames=st.integers(1, 60), seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 60), max_size=6)
)
def test_chunks_give_bit_for_bit_what_the_whole_gives(num_frames, seed, cuts):
    labels, probabilities = video(num_frames, seed)
    whole, scorer = score_segments(labels, probabilities), SegmentScorer()
    for part, columns in zip(
        np.split(labels, sorted(cuts)), np.split(probabilities, sorted(cuts), axis=1), strict=True
    ):
        scorer.add(part, columns)
    pieces = scorer.finish()
    assert pieces.segments.starts.tolist() == whole.segments.starts.tolist()
    assert pieces.confidence.tolist() == whole.confidence.tolist()
    assert pieces.entropy.tolist() == whole.entropy.tolist()


def test_a_long_segment_spans_the_blocks_that_are_summed():
    probabilities = np.full((2, 40_000), 0.5, np.float32)
    scored = score_segments(np.zeros(40_000, np.int64), probabilities)
    assert len(scored.segments) == 1
    assert scored.confidence.tolist() == [0.5]
    assert scored.entropy == pytest.approx([np.log(2)])


def test_a_memory_map_is_as_good_as_an_array(tmp_path):
    labels, probabilities = video(50, 3)
    np.save(tmp_path / "p.npy", probabilities)
    mapped = score_segments(labels, np.load(tmp_path / "p.npy", mmap_mode="r"))
    assert mapped.entropy.tolist() == score_segments(labels, probabilities).entropy.tolist()


def test_certainty_has_no_entropy_and_uniform_guessing_the_most():
    assert frame_entropy(np.eye(3, dtype=np.float32)).tolist() == [0, 0, 0]
    assert frame_entropy(np.full((48, 2), 1 / 48, np.float32)) == pytest.approx(np.log([48, 48]))
    assert (frame_entropy(np.array([[1 + 1e-6], [0]], np.float32)) == 0).all()


def test_nothing_has_no_segments_and_lengths_must_fit():
    assert len(SegmentScorer().finish().segments) == 0
    assert SegmentScorer().finish().confidence.tolist() == []
    with pytest.raises(ValueError, match="labels do not fit"):
        score_segments(np.zeros(3, np.int64), np.zeros((2, 4)))
