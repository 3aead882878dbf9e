from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.metrics.segments import Convention, Segments, checked_pair, scored_segments, segments
from tests.oracles import naive_metrics

LABELS = st.lists(st.integers(0, 3), max_size=40)


def as_tuples(found: Segments) -> list[tuple[int, int, int]]:
    return list(zip(found.labels.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True))


def test_runs_are_half_open():
    assert as_tuples(segments(np.array([4, 4, 2, 2, 2, 4]))) == [(4, 0, 2), (2, 2, 5), (4, 5, 6)]


def test_background_is_dropped_and_its_neighbours_are_not_joined():
    labels = np.array([1, 0, 1, 1, 0])
    assert as_tuples(scored_segments(labels, background=[0])) == [(1, 0, 1), (1, 2, 4)]
    assert as_tuples(scored_segments(np.zeros(5, int), background={0})) == []


def test_the_g2l_convention_ends_the_last_segment_one_frame_early():
    labels = np.array([1, 1, 2, 2, 2])
    assert as_tuples(scored_segments(labels)) == [(1, 0, 2), (2, 2, 5)]
    assert as_tuples(scored_segments(labels, convention=Convention.G2L)) == [(1, 0, 2), (2, 2, 4)]


def test_the_g2l_convention_spares_the_last_segment_before_background():
    labels = np.array([1, 1, 0])
    assert as_tuples(scored_segments(labels, background=[0], convention=Convention.G2L)) == [(1, 0, 2)]


@given(labels=LABELS, background=st.sets(st.integers(0, 3)), convention=st.sampled_from(Convention))
def test_segments_are_those_of_the_oracle(labels, background, convention):
    found = scored_segments(np.array(labels, np.int64), background=background, convention=convention)
    expected = naive_metrics.frame_sets(labels, background, convention is Convention.G2L)
    assert [(label, frozenset(range(start, end))) for label, start, end in as_tuples(found)] == expected


@given(labels=LABELS)
def test_segments_tell_every_frame(labels):
    found = segments(np.array(labels, np.int64))
    assert np.repeat(found.labels, found.ends - found.starts).tolist() == labels
    assert np.all(found.labels[1:] != found.labels[:-1])


def test_a_length_mismatch_names_both_lengths():
    with pytest.raises(
        InputError, match=r"^`predicted` must have as many frames as `truth` \(4\), but has 3 inst"
    ):
        checked_pair(np.zeros(3, int), np.zeros(4, int))


def test_a_wrong_shape_is_refused():
    with pytest.raises(
        InputError, match=r"^`truth` must have shape \(T,\), but has shape \(1, 4\) instead\.$"
    ):
        checked_pair(np.zeros(4, int), np.zeros((1, 4), int))


@pytest.mark.parametrize("dtype", [np.float32, bool, object])
def test_labels_that_are_not_integers_are_refused(dtype):
    with pytest.raises(
        InputError, match=r"^`predicted` must hold integer class indices, but holds \w+ instead"
    ):
        checked_pair(np.zeros(4, dtype), np.zeros(4, int))
