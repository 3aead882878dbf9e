from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.metrics.scores import (
    F1_THRESHOLDS,
    F1Counts,
    VideoScores,
    edit_score,
    f1_counts,
    levenshtein,
    metric_value,
    video_scores,
)
from g2l.metrics.segments import Convention, scored_segments
from tests.oracles import naive_metrics

SEQUENCES = st.lists(st.integers(0, 4), max_size=30)


def edit(predicted, truth, background=()) -> float:
    return edit_score(
        *(scored_segments(np.array(x, np.int64), background=background) for x in (predicted, truth))
    )


@given(first=SEQUENCES, second=SEQUENCES)
def test_the_distance_is_that_of_the_oracle(first, second):
    expected = naive_metrics.distance(first, second)
    assert levenshtein(np.array(first, np.int64), np.array(second, np.int64)) == expected


@pytest.mark.parametrize(("length", "other"), [(63, 65), (64, 64), (130, 90)])
def test_distances_beyond_one_machine_word(length, other):
    generator = np.random.default_rng(length)
    first, second = generator.integers(0, 5, length), generator.integers(0, 5, other)
    assert levenshtein(first, second) == naive_metrics.distance(first.tolist(), second.tolist())


def test_one_substitution_in_three_segments():
    assert edit([1, 1, 2, 3, 3], [1, 4, 4, 4, 3]) == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        ([], [], 100.0),
        ([0, 0], [0, 0], 100.0),
        ([1, 1], [0, 0], 0.0),
        ([0, 0], [1, 1], 0.0),
        ([1], [1], 100.0),
        ([1], [2], 0.0),
    ],
)
def test_empty_all_background_and_one_frame(predicted, truth, expected):
    assert edit(predicted, truth, background=[0]) == expected


@given(
    pair=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30),
    background=st.sets(st.integers(0, 3)),
)
def test_the_score_is_that_of_the_oracle(pair, background):
    predicted, truth = [a for a, _ in pair], [b for _, b in pair]
    assert edit(predicted, truth, background) == pytest.approx(
        float(naive_metrics.edit(predicted, truth, background))
    )


RUNS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)), max_size=10)


def frames(*runs: tuple[int, int]) -> list[int]:
    """Return the labels of (label, length) runs."""
    return [label for label, length in runs for _ in range(length)]


def counts(predicted, truth, background=(), convention=Convention.MSTCN) -> tuple[F1Counts, ...]:
    pair = (np.array(labels, np.int64) for labels in (predicted, truth))
    return f1_counts(*(scored_segments(x, background=background, convention=convention) for x in pair))


def f1_scores(*arguments, **settings_) -> list[float]:
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


def test_g2l_convention_lowers_the_score_of_a_short_last_segment():
    truth, predicted = frames((1, 4), (2, 2)), frames((1, 5), (2, 1))
    assert f1_scores(predicted, truth) == [100.0, 100.0, 100.0]
    assert f1_scores(predicted, truth, convention=Convention.G2L) == [50.0, 50.0, 50.0]


def test_g2l_convention_raises_the_score_of_a_prediction_that_is_too_long():
    truth, predicted = frames((1, 2), (2, 3)), frames((1, 5))
    assert f1_scores(predicted, truth) == [pytest.approx(200 / 3), pytest.approx(200 / 3), 0.0]
    assert f1_scores(predicted, truth, convention=Convention.G2L) == [pytest.approx(200 / 3)] * 3


@pytest.mark.parametrize("convention", Convention)
@pytest.mark.parametrize(("predicted", "truth"), [([], []), ([0], [0]), ([0] * 5, [0] * 5)])
def test_no_segments_at_all_score_zero(predicted, truth, convention):
    assert f1_scores(predicted, truth, background=[0], convention=convention) == [0.0] * 3


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


METRICS = {"accuracy": 80.0, "edit": 70.0, "f1@10": 90.0, "f1@25": 60.0, "f1@50": 30.0}


def test_any_metric_by_its_name():
    assert {name: metric_value(METRICS, name) for name in METRICS} == METRICS


def test_f1_is_the_mean_over_the_thresholds():
    assert metric_value(METRICS, "f1") == 60.0


def test_an_unknown_metric_is_named():
    with pytest.raises(
        InputError, match=r"^`metric` must be one of f1, accuracy, edit, .*, but is 'mof' instead\.$"
    ):
        metric_value(METRICS, "mof")


def test_scores_of_one_video_survive_json():
    scores = video_scores(np.array([1, 1, 2]), np.array([1, 1, 3]))
    assert (scores.correct, scores.frames, scores.edit) == (2, 3, 50.0)
    assert VideoScores.from_dict(json.loads(json.dumps(scores.as_dict()))) == scores


def test_edit_and_f1_of_a_video_without_segments_are_undefined():
    scores = video_scores(np.array([0, 0]), np.array([0, 0]), background=[0])
    assert VideoScores.from_dict(scores.as_dict()) == scores
    undefined = dict.fromkeys(("edit", "f1@10", "f1@25", "f1@50"))
    assert scores.metrics() == {"frames": 2, "accuracy": 100.0, **undefined}


def test_segments_on_one_side_define_the_scores():
    scores = video_scores(np.array([0, 1]), np.array([0, 0]), background=[0]).metrics()
    assert scores == {"frames": 2, "accuracy": 50.0, "edit": 0.0, "f1@10": 0.0, "f1@25": 0.0, "f1@50": 0.0}


@pytest.mark.parametrize("value", [{}, {"correct": 1, "frames": 1, "edit": None, "f1": [[1, 2, 3]]}])
def test_scores_that_were_not_written_by_us_are_refused(value):
    with pytest.raises((KeyError, TypeError, ValueError)):
        VideoScores.from_dict(value)
