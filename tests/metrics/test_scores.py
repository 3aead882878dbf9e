from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import classification_report

from g2l.errors import InputError
from g2l.metrics.scores import (
    F1_THRESHOLDS,
    F1Counts,
    SegmentationMetrics,
    VideoScores,
    confusion,
    edit_score,
    f1_counts,
    levenshtein,
    metric_value,
    per_class_report,
    video_scores,
)
from g2l.metrics.segments import Convention, scored_segments
from tests.oracles import naive_metrics

SEQUENCES = st.lists(st.integers(0, 4), max_size=30)
RUNS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)), max_size=10)
VIDEO = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=25).map(
    lambda pairs: ([a for a, _ in pairs], [b for _, b in pairs])
)
BACKGROUND = st.sets(st.integers(0, 2), max_size=2)


def sides(predicted, truth, **options):
    return (scored_segments(np.array(labels, np.int64), **options) for labels in (predicted, truth))


def counts(predicted, truth, **options) -> tuple[F1Counts, ...]:
    return f1_counts(*sides(predicted, truth, **options))


def frames(*runs: tuple[int, int]) -> list[int]:
    """Return the labels of (label, length) runs."""
    return [label for label, length in runs for _ in range(length)]


def metrics_of(videos, background=(), convention=Convention.MSTCN) -> SegmentationMetrics:
    metrics = SegmentationMetrics(background=background, convention=convention)
    for predicted, truth in videos:
        metrics.update(np.array(predicted, np.int64), np.array(truth, np.int64))
    return metrics


# -------------------------------------------------------------------------------------- edit


@given(first=SEQUENCES, second=SEQUENCES)
def test_the_distance_is_that_of_the_oracle(first, second):
    expected = naive_metrics.distance(first, second)
    assert levenshtein(np.array(first, np.int64), np.array(second, np.int64)) == expected


def test_distances_beyond_one_machine_word():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 5, 130), generator.integers(0, 5, 90)
    assert levenshtein(first, second) == naive_metrics.distance(first.tolist(), second.tolist())


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        ([1, 1, 2, 3, 3], [1, 4, 4, 4, 3], pytest.approx(100 * 2 / 3)),
        ([], [], 100.0),
        ([0, 0], [0, 0], 100.0),
        ([1, 1], [0, 0], 0.0),
        ([0, 0], [1, 1], 0.0),
        ([1], [1], 100.0),
    ],
)
def test_literal_edit_scores(predicted, truth, expected):
    assert edit_score(*sides(predicted, truth, background=[0])) == expected


# ---------------------------------------------------------------------------------------- F1


def test_each_threshold_is_reached_by_an_equal_overlap():
    truth = frames((1, 20), (2, 20), (3, 20))
    predicted = frames((1, 2), (9, 18), (2, 5), (9, 15), (3, 10), (9, 10))
    assert counts(predicted, truth) == (F1Counts(3, 3, 0), F1Counts(2, 4, 1), F1Counts(1, 5, 2))
    assert counts(frames((1, 499), (2, 501)), frames((1, 1000)))[-1] == F1Counts(0, 2, 1)


@pytest.mark.parametrize(
    ("predicted", "truth", "threshold", "expected"),
    [
        # A true segment is hit once.
        (frames((1, 4), (2, 2), (1, 4)), frames((1, 10)), 0, F1Counts(1, 2, 0)),
        # Both predictions of class 1 overlap the long true segment most: the short one stays unhit.
        (frames((1, 8), (0, 1), (1, 3)), frames((1, 2), (0, 1), (1, 9)), 0, F1Counts(1, 1, 1)),
        # The long prediction overlaps both by 2 of 8 frames; taking the first leaves the second free.
        (frames((2, 2), (1, 6), (2, 1), (1, 1)), frames((1, 4), (0, 2), (1, 4)), 1, F1Counts(2, 2, 0)),
    ],
)
def test_which_true_segment_a_prediction_takes(predicted, truth, threshold, expected):
    assert counts(predicted, truth, background=[0])[threshold] == expected


def test_the_g2l_convention_ends_the_last_segment_early():
    truth, predicted = frames((1, 4), (2, 2)), frames((1, 5), (2, 1))
    for convention, expected in ((Convention.MSTCN, 100.0), (Convention.G2L, 50.0)):
        assert [one.score() for one in counts(predicted, truth, convention=convention)] == [expected] * 3


@settings(max_examples=300)
@given(predicted=RUNS, truth=RUNS, background=BACKGROUND, convention=st.sampled_from(Convention))
@example(predicted=[(1, 3), (2, 1)], truth=[(1, 2), (2, 2)], background=set(), convention=Convention.G2L)
@example(predicted=[], truth=[], background={0}, convention=Convention.G2L)
def test_counts_are_those_of_the_oracle(predicted, truth, background, convention):
    length = min(sum(n for _, n in predicted), sum(n for _, n in truth))
    ours, theirs = frames(*predicted)[:length], frames(*truth)[:length]
    expected = [
        naive_metrics.counts(ours, theirs, percent, background, convention is Convention.G2L)
        for percent in F1_THRESHOLDS
    ]
    found = counts(ours, theirs, background=background, convention=convention)
    assert [(c.true_positives, c.false_positives, c.false_negatives) for c in found] == expected
    assert [c.score() for c in found] == pytest.approx([float(naive_metrics.f1(*each)) for each in expected])


# --------------------------------------------------------------------------- videos and metrics


def test_literal_numbers_over_two_videos():
    metrics = metrics_of([([0, 0, 1, 1], [0, 0, 1, 1]), ([1, 1, 1, 1, 1, 1], [1, 1, 1, 2, 2, 2])])
    pooled = pytest.approx(600 / 7)  # 3 hits of 3 predicted and 4 true segments
    assert metrics.compute() == {
        "videos": 2,
        "frames": 10,
        "accuracy": 70.0,  # pooled: 7 of 10 frames, not the mean of 100 and 50
        "edit": 75.0,  # mean of 100 and 50
        "f1@10": pooled,
        "f1@25": pooled,
        "f1@50": pooled,
    }


@given(videos=st.lists(VIDEO, max_size=6), background=BACKGROUND, convention=st.sampled_from(Convention))
def test_the_metrics_are_those_of_the_oracle(videos, background, convention):
    expected = naive_metrics.all_metrics(videos, background, convention is Convention.G2L)
    computed = metrics_of(videos, background, convention).compute()
    assert computed == pytest.approx({name: float(value) for name, value in expected.items()})


def test_a_length_mismatch_is_refused_and_adds_nothing():
    metrics = metrics_of([([1, 1], [1, 1])])
    before = metrics.compute()
    with pytest.raises(InputError, match=r"^`predicted` must have .* `truth` \(3\), but has 2"):
        metrics.update(np.array([1, 1]), np.array([1, 1, 1]))
    assert metrics.compute() == before


def test_scores_of_one_video_survive_json():
    scores = video_scores(np.array([1, 1, 2]), np.array([1, 1, 3]))
    assert (scores.correct, scores.frames, scores.edit) == (2, 3, 50.0)
    assert VideoScores.from_dict(json.loads(json.dumps(scores.as_dict()))) == scores
    for value in ({}, {"correct": 1, "frames": 1, "edit": None, "f1": [[1, 2, 3]]}):
        with pytest.raises((KeyError, TypeError, ValueError)):
            VideoScores.from_dict(value)


def test_edit_and_f1_of_a_video_without_segments_are_undefined():
    scores = video_scores(np.array([0, 0]), np.array([0, 0]), background=[0])
    assert VideoScores.from_dict(scores.as_dict()) == scores
    names = ("edit", "f1@10", "f1@25", "f1@50")
    assert scores.metrics() == {"frames": 2, "accuracy": 100.0, **dict.fromkeys(names)}
    one_side = video_scores(np.array([0, 1]), np.array([0, 0]), background=[0]).metrics()
    assert one_side == {"frames": 2, "accuracy": 50.0, **dict.fromkeys(names, 0.0)}


def test_metrics_by_name():
    metrics = {"accuracy": 80.0, "edit": 70.0, "f1@10": 90.0, "f1@25": 60.0, "f1@50": 30.0}
    assert {name: metric_value(metrics, name) for name in metrics} == metrics
    assert metric_value(metrics, "f1") == 60.0
    with pytest.raises(InputError, match=r"^`metric` must be one of f1, accuracy, .*, but is 'mof'"):
        metric_value(metrics, "mof")


# --------------------------------------------------------------------------------- per class

NAMES = ("take", "accuracy", "never")
ABSENT_ROW = {"precision": None, "recall": None, "f1-score": None, "support": 0}
FRAMES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=30)


def arrays(pairs) -> tuple[np.ndarray, np.ndarray]:
    return np.array([a for a, _ in pairs], np.int64), np.array([b for _, b in pairs], np.int64)


def report_of(predicted, truth, names):
    return per_class_report(confusion(predicted, truth, names), names)


def test_literal_numbers_and_a_class_that_is_absent():
    frames = confusion(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), NAMES)
    assert frames.tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    report = per_class_report(frames, NAMES)
    take = {"precision": 50.0, "recall": 100.0, "f1-score": pytest.approx(200 / 3), "support": 1}
    other = {
        "precision": 100.0,
        "recall": pytest.approx(200 / 3),
        "f1-score": pytest.approx(80),
        "support": 3,
    }
    assert report["classes"] == {"take": take, "accuracy": other, "never": ABSENT_ROW}


def test_no_frames_and_one_frame():
    nothing = np.array([], np.int64)
    assert report_of(nothing, nothing, NAMES)["classes"]["take"] == ABSENT_ROW
    assert confusion(nothing, nothing, NAMES).tolist() == [[0] * 3] * 3
    assert confusion(nothing, nothing, ()).shape == (0, 0)
    assert report_of(np.array([1]), np.array([1]), NAMES)["classes"]["accuracy"]["f1-score"] == 100.0


@given(pairs=FRAMES.filter(bool))
def test_scores_are_those_of_scikit_learn_over_single_frames(pairs):
    predicted, truth = arrays(pairs)
    present = sorted({label for pair in pairs for label in pair})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = classification_report(truth, predicted, labels=present, output_dict=True, zero_division=0)
    report = report_of(predicted, truth, NAMES)
    for label in present:
        row = {score: 100 * value for score, value in expected[str(label)].items() if score != "support"}
        assert report["classes"][NAMES[label]] == pytest.approx(
            row | {"support": expected[str(label)]["support"]}
        )


def test_an_index_outside_the_classes_is_named():
    with pytest.raises(InputError, match=r"^`truth` must hold .* in \[0, 3\), but holds -100"):
        confusion(np.array([0, 0]), np.array([0, -100]), NAMES)


def test_small_and_unsigned_labels_count_like_any():
    names = [f"class {index}" for index in range(100)]
    predicted, truth = np.array([99, 98, 99], "uint8"), np.array([99, 99, 98], "uint8")
    assert confusion(predicted, truth, names)[98:, 98:].tolist() == [[0, 1], [1, 1]]
