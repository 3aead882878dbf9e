from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from g2l.metrics.f1 import F1_THRESHOLDS, F1Counts, f1_counts
from g2l.metrics.segments import Convention, scored_segments
from tests.oracles import naive_metrics

RUNS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)), max_size=10)


def frames(*runs: tuple[int, int]) -> list[int]:
    """Return the labels of (label, length) runs."""
    return [label for label, length in runs for _ in range(length)]


def counts(predicted, truth, background=(), convention=Convention.MSTCN) -> tuple[F1Counts, ...]:
    pair = (np.array(labels, np.int64) for labels in (predicted, truth))
    return f1_counts(*(scored_segments(x, background=background, convention=convention) for x in pair))


def scores(*arguments, **settings_) -> list[float]:
    return [each.score() for each in counts(*arguments, **settings_)]


def test_each_threshold_is_reached_by_an_equal_overlap():
    truth = frames((1, 20), (2, 20), (3, 20))
    predicted = frames((1, 2), (9, 18), (2, 5), (9, 15), (3, 10), (9, 10))
    assert counts(predicted, truth) == (F1Counts(3, 3, 0), F1Counts(2, 4, 1), F1Counts(1, 5, 2))


def test_an_overlap_just_below_the_threshold_is_a_miss():
    assert counts(frames((1, 499), (2, 501)), frames((1, 1000)))[-1] == F1Counts(0, 2, 1)


def test_a_true_segment_is_hit_once():
    predicted = frames((1, 4), (2, 2), (1, 4))
    assert counts(predicted, frames((1, 10))) == (F1Counts(1, 2, 0), F1Counts(1, 2, 0), F1Counts(0, 3, 1))


def test_a_prediction_takes_its_best_segment_even_where_another_is_still_free():
    # Both predictions of class 1 overlap the long true segment most: the short one stays unhit.
    truth = frames((1, 2), (0, 1), (1, 9))
    predicted = frames((1, 8), (0, 1), (1, 3))
    assert counts(predicted, truth, background=[0])[0] == F1Counts(1, 1, 1)


def test_ties_go_to_the_first_true_segment():
    # The long prediction overlaps both true ones by 2 of 8 frames; taking the first leaves the second free.
    truth = frames((1, 4), (0, 2), (1, 4))
    predicted = frames((2, 2), (1, 6), (2, 1), (1, 1))
    assert counts(predicted, truth, background=[0])[1] == F1Counts(2, 2, 0)


def test_other_classes_do_not_count_as_overlap():
    assert counts([1, 1, 1], [2, 2, 2]) == (F1Counts(0, 1, 1),) * 3


def test_g2l_convention_lowers_the_score_of_a_short_last_segment():
    truth, predicted = frames((1, 4), (2, 2)), frames((1, 5), (2, 1))
    assert scores(predicted, truth) == [100.0, 100.0, 100.0]
    assert scores(predicted, truth, convention=Convention.G2L) == [50.0, 50.0, 50.0]


def test_g2l_convention_raises_the_score_of_a_prediction_that_is_too_long():
    truth, predicted = frames((1, 2), (2, 3)), frames((1, 5))
    assert scores(predicted, truth) == [pytest.approx(200 / 3), pytest.approx(200 / 3), 0.0]
    assert scores(predicted, truth, convention=Convention.G2L) == [pytest.approx(200 / 3)] * 3


@pytest.mark.parametrize("convention", Convention)
@pytest.mark.parametrize(("predicted", "truth"), [([], []), ([0], [0]), ([0] * 5, [0] * 5)])
def test_no_segments_at_all_score_zero(predicted, truth, convention):
    assert scores(predicted, truth, background=[0], convention=convention) == [0.0] * 3


def test_segments_on_one_side_only_score_zero():
    assert scores([1, 1], [0, 0], background=[0]) == [0.0] * 3
    assert scores([0, 0], [1, 1], background=[0]) == [0.0] * 3


@pytest.mark.filterwarnings("error")  # two empty segments must not be divided by their empty union
def test_one_frame():
    assert scores([1], [1]) == [100.0] * 3
    assert counts([1], [1], convention=Convention.G2L) == (F1Counts(0, 1, 1),) * 3


@settings(max_examples=300)
@given(
    predicted=RUNS,
    truth=RUNS,
    background=st.sets(st.integers(0, 3), max_size=2),
    convention=st.sampled_from(Convention),
)
@example(predicted=[(1, 3), (2, 1)], truth=[(1, 2), (2, 2)], background=set(), convention=Convention.G2L)
def test_counts_are_those_of_the_oracle(predicted, truth, background, convention):
    length = min(sum(n for _, n in predicted), sum(n for _, n in truth))
    ours, theirs = frames(*predicted)[:length], frames(*truth)[:length]
    expected = [
        naive_metrics.counts(ours, theirs, percent, background, convention is Convention.G2L)
        for percent in F1_THRESHOLDS
    ]
    found = counts(ours, theirs, background, convention)
    assert [(c.true_positives, c.false_positives, c.false_negatives) for c in found] == expected
    assert [c.score() for c in found] == pytest.approx([float(naive_metrics.f1(*each)) for each in expected])


def test_counts_add_up():
    assert F1Counts(1, 2, 3) + F1Counts(10, 20, 30) == F1Counts(11, 22, 33)
