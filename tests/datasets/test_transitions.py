from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.transitions import count_transitions, log_probabilities

VIDEOS = st.lists(st.lists(st.integers(0, 3), max_size=20), max_size=5)


def arrays(videos):
    return (np.array(labels, np.int64) for labels in videos)


@given(VIDEOS)
def test_counts_are_those_of_a_loop_and_end_with_each_video(videos):
    expected = Counter(pair for labels in videos for pair in pairwise(labels))
    found = count_transitions(arrays(videos), 4)
    assert {(before, after): count for before, after, count in found} == expected
    assert list(found) == sorted(found)


def test_every_number_is_a_plain_one():
    assert [type(number) for number in count_transitions(arrays([[1, 1, 2]]), 3)[0]] == [int] * 3


def test_probabilities_add_up_and_nothing_is_impossible():
    found = log_probabilities([(0, 0, 7), (0, 1, 1), (2, 0, 1)], 3)
    assert np.exp(found).sum(axis=1) == pytest.approx(np.ones(3))
    assert np.exp(found[0]) == pytest.approx([8 / 11, 2 / 11, 1 / 11])
    assert np.exp(found[1]) == pytest.approx([1 / 3] * 3)  # a class that training never showed
    assert np.isfinite(found).all()
