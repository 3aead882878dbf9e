from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.datasets.labels import log_probabilities
from g2l.errors import InputError
from g2l.inference.smoothing import (
    Smoothing,
    SmoothingKind,
    filter_median,
    make_smoother,
    remove_short,
    viterbi,
)
from g2l.metrics.segments import segments
from tests.oracles import naive_smoothing

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=12).map(
    lambda runs: [label for label, length in runs for _ in range(length)]
)


@settings(max_examples=300)
@given(LABELS, st.integers(1, 12))
def test_minimum_duration_is_that_of_the_oracle(labels, frames):
    smooth = remove_short(np.array(labels, np.int64), frames)
    assert smooth.tolist() == naive_smoothing.without_short(labels, frames)
    assert smooth.dtype == np.int64
    found = segments(smooth)
    assert len(found) <= 1 or (found.ends - found.starts).min() >= frames
    assert remove_short(smooth, frames).tolist() == smooth.tolist()


@settings(max_examples=200)
@given(LABELS, st.integers(1, 12))
def test_the_median_is_that_of_the_oracle(labels, window):
    smooth = filter_median(np.array(labels, np.int64), window)
    assert smooth.tolist() == naive_smoothing.majority(labels, window)


def random_problem(num_frames, classes, seed):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(classes, 0.5), num_frames).T
    counts = generator.integers(0, 20, (classes, classes)) + np.eye(classes, dtype=int) * 20
    triples = [(a, b, int(counts[a, b])) for a, b in zip(*np.nonzero(counts), strict=True)]
    return probabilities, log_probabilities(triples, classes)


@settings(max_examples=150)
@given(num_frames=st.integers(1, 6), classes=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_viterbi_finds_the_best_of_all_paths(num_frames, classes, seed):
    probabilities, transitions = random_problem(num_frames, classes, seed)
    probabilities = np.maximum(probabilities, 1e-30)
    found = viterbi(probabilities, transitions).tolist()
    best = naive_smoothing.best_path(probabilities, transitions)
    assert naive_smoothing.score(found, probabilities, transitions) == pytest.approx(
        naive_smoothing.score(best, probabilities, transitions), rel=1e-12
    )


def test_viterbi_over_many_blocks_removes_what_is_unlikely():
    truth = np.repeat([0, 1, 2, 1], 10_000)
    probabilities = np.full((3, 40_000), 0.1, np.float32)
    probabilities[truth, np.arange(40_000)] = 0.8
    wrong = np.random.default_rng(0).choice(40_000, 3000, replace=False)
    probabilities[:, wrong] = np.roll(probabilities[:, wrong], 1, axis=0)
    transitions = log_probabilities([(a, b, 9999 if a == b else 1) for a in range(3) for b in range(3)], 3)
    assert (probabilities.argmax(axis=0) != truth).sum() == 3000
    assert (viterbi(probabilities, transitions) != truth).sum() < 10


@pytest.mark.parametrize(
    ("text", "fps", "frames"),
    [
        ("15", None, 15),
        ("0.5s", 15.0, 8),
        ("0.1s", 30.0, 3),
        (".5s", 30.0, 15),
        ("1s", 29.97, 30),
        ("0.001s", 15.0, 1),
    ],
)
def test_a_duration_in_frames_or_seconds(text, fps, frames):
    assert Smoothing(kind=SmoothingKind.MEDIAN, duration=text).validate().frames(fps) == frames


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "0.5", "-1", "5 frames", "1e3s", "nan", "٣", "9" * 400, "9" * 400 + "s"]
)
def test_other_durations_are_refused(text):
    with pytest.raises(InputError, match=r"^`--median-window` must be a number of frames, .* seconds"):
        Smoothing(kind=SmoothingKind.MEDIAN, duration=text).validate()


def test_seconds_need_a_frame_rate(metadata):
    settings_ = Smoothing(kind=SmoothingKind.MEDIAN, duration="0.5s")
    assert str(settings_) == "median 0.5s"
    with pytest.raises(InputError, match=r"^0.5s cannot be converted to frames: the frame rate") as caught:
        make_smoother(settings_, metadata, None)
    assert "--fps" in caught.value.hint


def test_each_kind_is_made_with_its_parameter(metadata):
    labels, unused = np.array([0, 0, 0, 1, 0, 0]), np.zeros((3, 6))
    assert make_smoother(Smoothing(), metadata, 15.0) is None
    for kind in (SmoothingKind.MIN_DURATION, SmoothingKind.MEDIAN):
        smooth = make_smoother(Smoothing(kind=kind, duration="0.2s"), metadata, 15.0)
        assert smooth(labels, unused).tolist() == [0] * 6
        with pytest.raises(InputError, match=f"^`duration` must be given for smoothing by {kind}"):
            make_smoother(Smoothing(kind=kind), metadata, 15.0)
    with pytest.raises(InputError, match=r"`weight` must be >= 0 and finite, but is -1 instead\."):
        make_smoother(Smoothing(kind=SmoothingKind.VITERBI, weight=-1), metadata, 15.0)


def test_viterbi_uses_the_transitions_of_the_model_at_its_frame_rate(metadata):
    """Every second frame counts; the transitions keep the one doubtful frame from being a segment."""
    kind = Smoothing(kind=SmoothingKind.VITERBI)
    with pytest.raises(
        InputError, match="transitions between classes, which this model does not hold"
    ) as caught:
        make_smoother(kind, metadata, None)
    assert "train it anew" in caught.value.hint
    known = replace(metadata, transitions=((0, 0, 99), (0, 1, 1), (1, 1, 99)))
    sampled = np.array([[0.8, 0.4, 0.8, 0.8], [0.1, 0.5, 0.1, 0.1], [0.1] * 4])
    probabilities = sampled.repeat(2, axis=1)[:, :7]
    labels = probabilities.argmax(axis=0)
    assert labels.tolist() == [0, 0, 1, 1, 0, 0, 0]
    assert make_smoother(kind, known, None)(labels, probabilities).tolist() == [0] * 7
    unweighted = make_smoother(Smoothing(kind=SmoothingKind.VITERBI, weight=0), known, None)
    assert unweighted(labels, probabilities).tolist() == labels.tolist()
