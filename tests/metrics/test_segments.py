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


def test_literal_segments_under_both_conventions():
    assert as_tuples(segments(np.array([4, 4, 2, 2, 2, 4]))) == [(4, 0, 2), (2, 2, 5), (4, 5, 6)]
    dropped = scored_segments(np.array([1, 0, 1, 1, 0]), background=[0])
    assert as_tuples(dropped) == [(1, 0, 1), (1, 2, 4)]  # neighbours of background are not joined
    short = scored_segments(np.array([1, 1, 2, 2, 2]), convention=Convention.G2L)
    assert as_tuples(short) == [(1, 0, 2), (2, 2, 4)]
    spared = scored_segments(np.array([1, 1, 0]), background=[0], convention=Convention.G2L)
    assert as_tuples(spared) == [(1, 0, 2)]


@given(labels=LABELS, background=st.sets(st.integers(0, 3)), convention=st.sampled_from(Convention))
def test_segments_are_those_of_the_oracle(labels, background, convention):
    found = scored_segments(np.array(labels, np.int64), background=background, convention=convention)
    expected = naive_metrics.frame_sets(labels, background, convention is Convention.G2L)
    assert [(label, frozenset(range(start, end))) for label, start, end in as_tuples(found)] == expected


@pytest.mark.parametrize(
    ("predicted", "truth", "match"),
    [
        (np.zeros(3, int), np.zeros(4, int), r"`predicted` .* `truth` \(4\), but has 3"),
        (np.zeros(4, int), np.zeros((1, 4), int), r"`truth` must have shape \(T,\), but has shape \(1, 4\)"),
        (np.zeros(4, np.float32), np.zeros(4, int), "`predicted` must hold integer .* float32"),
        (np.zeros(4, bool), np.zeros(4, int), "`predicted` must hold integer .* bool"),
    ],
)
def test_arrays_that_are_no_labels_of_one_video_are_refused(predicted, truth, match):
    with pytest.raises(InputError, match=match):
        checked_pair(predicted, truth)
