from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.metrics.edit import edit_score, levenshtein
from g2l.metrics.segments import scored_segments
from tests.oracles import naive_metrics

SEQUENCES = st.lists(st.integers(0, 4), max_size=30)


def score(predicted, truth, background=()) -> float:
    return edit_score(
        *(scored_segments(np.array(x, np.int64), background=background) for x in (predicted, truth))
    )


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("kitten", "sitting", 3),
        ("", "abc", 3),
        ("abc", "", 3),
        ("", "", 0),
        ("abc", "abc", 0),
        ("ab", "ba", 2),
    ],
)
def test_known_distances(first, second, expected):
    assert levenshtein(*(np.array([ord(c) for c in word], np.int64) for word in (first, second))) == expected


@given(first=SEQUENCES, second=SEQUENCES)
def test_the_distance_is_that_of_the_oracle(first, second):
    expected = naive_metrics.distance(first, second)
    assert levenshtein(np.array(first, np.int64), np.array(second, np.int64)) == expected


@pytest.mark.parametrize(("length", "other"), [(63, 65), (64, 64), (130, 90)])
def test_distances_beyond_one_machine_word(length, other):
    generator = np.random.default_rng(length)
    first, second = generator.integers(0, 5, length), generator.integers(0, 5, other)
    assert levenshtein(first, second) == naive_metrics.distance(first.tolist(), second.tolist())


def test_a_long_sequence_with_known_edits():
    truth = np.tile(np.arange(7), 1000)
    predicted = np.insert(np.delete(truth, [10, 3000, 6000]), [500, 4000], 9)
    assert levenshtein(predicted, truth) == 5


def test_one_substitution_in_three_segments():
    assert score([1, 1, 2, 3, 3], [1, 4, 4, 4, 3]) == pytest.approx(100 * 2 / 3)


def test_lengths_of_segments_do_not_matter():
    assert score([1, 2, 2, 2, 2], [1, 1, 1, 1, 2]) == 100.0


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
    assert score(predicted, truth, background=[0]) == expected


@given(
    pair=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30),
    background=st.sets(st.integers(0, 3)),
)
def test_the_score_is_that_of_the_oracle(pair, background):
    predicted, truth = [a for a, _ in pair], [b for _, b in pair]
    assert score(predicted, truth, background) == pytest.approx(
        float(naive_metrics.edit(predicted, truth, background))
    )
