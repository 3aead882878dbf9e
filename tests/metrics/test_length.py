from __future__ import annotations

import numpy as np
import pytest

from g2l.errors import InputError
from g2l.metrics.length import best_length


@pytest.mark.parametrize(
    ("curves", "epochs"),
    [
        ([[1.0]], 1),
        ([[1.0, 2.0, 3.0]], 3),
        ([[3.0, 3.0, 3.0]], 1),  # of equals the earlier
        ([[0.0, 4.0, 0.0], [0.0, 0.0, 3.0]], 2),  # of the mean curve
        ([list(range(30))], 30),  # still rising
    ],
)
def test_the_best_epoch_of_the_mean_curve(curves, epochs):
    assert best_length(curves) == epochs


def test_a_lucky_epoch_does_not_win_over_the_best_stretch():
    curve = [*np.linspace(0, 60, 20), *[70.0] * 11, *np.linspace(66, 40, 19)]
    curve[44] = 72.0
    assert 20 <= best_length([curve]) <= 31


def test_curves_of_different_length_are_refused():
    for curves in ([], [[]], [[1.0], [1.0, 2.0]]):
        with pytest.raises(InputError, match="`curves`"):
            best_length(curves)
