from __future__ import annotations

import numpy as np
import pytest

from g2l.errors import InputError
from g2l.metrics.accuracy import accuracy_counts


def test_correct_frames_are_counted_whatever_the_integer_type():
    assert accuracy_counts(np.array([0, 1, 2, 2], np.uint8), np.array([0, 1, 1, 2], np.int64)) == (3, 4)


def test_an_empty_video_adds_nothing():
    assert accuracy_counts(np.array([], int), np.array([], int)) == (0, 0)


def test_a_length_mismatch_is_refused():
    with pytest.raises(InputError, match="as many frames as `truth`"):
        accuracy_counts(np.zeros(3, int), np.zeros(2, int))
