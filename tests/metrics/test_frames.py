from __future__ import annotations

import numpy as np
import pytest

from g2l.errors import InputError
from g2l.metrics.frames import checked_pair, percentage


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


def test_nothing_of_nothing_is_zero_percent():
    assert percentage(0, 0) == 0.0
    assert percentage(1, 4) == 25.0
