from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.metrics.accumulator import SegmentationMetrics
from g2l.metrics.segments import Convention
from tests.oracles import naive_metrics

VIDEO = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=25).map(
    lambda pairs: ([a for a, _ in pairs], [b for _, b in pairs])
)
VIDEOS = st.lists(VIDEO, max_size=6)
BACKGROUND = st.sets(st.integers(0, 2), max_size=2)
ZERO = {"accuracy": 0.0, "edit": 0.0, "f1@10": 0.0, "f1@25": 0.0, "f1@50": 0.0}


def metrics_of(videos, background=(), convention=Convention.MSTCN) -> SegmentationMetrics:
    metrics = SegmentationMetrics(background=background, convention=convention)
    for predicted, truth in videos:
        metrics.update(np.array(predicted, np.int64), np.array(truth, np.int64))
    return metrics


def test_literal_numbers_over_two_videos():
    metrics = metrics_of([([0, 0, 1, 1], [0, 0, 1, 1]), ([1, 1, 1, 1, 1, 1], [1, 1, 1, 2, 2, 2])])
    assert metrics.compute() == {
        "videos": 2,
        "frames": 10,
        "accuracy": 70.0,  # pooled: 7 of 10 frames, not the mean of 100 and 50
        "edit": 75.0,  # mean of 100 and 50
        "f1@10": pytest.approx(600 / 7),  # pooled: 3 hits of 3 predicted and 4 true segments
        "f1@25": pytest.approx(600 / 7),
        "f1@50": pytest.approx(600 / 7),
    }


def test_background_counts_for_accuracy_only():
    computed = metrics_of([([0, 0, 0, 1], [0, 0, 0, 0])], background=[0]).compute()
    assert computed == {"videos": 1, "frames": 4, **ZERO, "accuracy": 75.0}


def test_convention_changes_f1_only():
    video = ([1, 1, 1, 1, 1, 2], [1, 1, 1, 1, 2, 2])
    mstcn, g2l = (metrics_of([video], convention=each).compute() for each in Convention)
    assert mstcn["f1@50"] == 100.0
    assert g2l == mstcn | {"f1@10": 50.0, "f1@25": 50.0, "f1@50": 50.0}


@given(videos=VIDEOS, background=BACKGROUND, convention=st.sampled_from(Convention))
def test_the_result_is_that_of_the_oracle(videos, background, convention):
    expected = naive_metrics.all_metrics(videos, background, convention is Convention.G2L)
    computed = metrics_of(videos, background, convention).compute()
    assert computed == pytest.approx({name: float(value) for name, value in expected.items()})


def test_a_length_mismatch_is_refused_and_adds_nothing():
    metrics = metrics_of([([1, 1], [1, 1])])
    before = metrics.compute()
    with pytest.raises(
        InputError, match=r"^`predicted` must have as many frames as `truth` \(3\), but has 2"
    ):
        metrics.update(np.array([1, 1]), np.array([1, 1, 1]))
    assert metrics.compute() == before


def test_videos_without_segments_are_counted():
    metrics = metrics_of([([0, 0], [0, 0]), ([0, 1], [0, 1])], background=[0])
    assert metrics.undefined == 1
    assert metrics.compute()["edit"] == 100.0
    assert [video.edit for video in metrics.videos] == [None, 100.0]
