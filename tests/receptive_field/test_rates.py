from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.kernels.taps import mixing_weights
from g2l.receptive_field.rates import Expansion


def expansion(**numbers):
    return Expansion(**{"expansion_rate": 0.1, "branches": 3, "max_rate": 100} | numbers)


def branch_rates(rate, **numbers):
    """Return the branches along a single axis, as numbers."""
    return tuple(branch for (branch,) in expansion(**numbers).branch_rates((rate,), (3,)))


@pytest.mark.parametrize(
    ("rate", "branches", "expansion_rate", "expected"),
    [
        (1, 3, 0.1, (1, 2)),
        (4, 3, 0.1, (3, 4, 5)),
        (16, 3, 0.1, (14, 16, 18)),
        (95, 3, 0.1, (86, 95, 100)),
        (200, 3, 0.1, (90, 100)),
        (2, 2, 0.1, (1, 3)),
        (100, 2, 0.5, (50, 100)),
        (8, 3, 1.0, (1, 8, 16)),
        (20, 5, 0.01, (18, 19, 20, 21, 22)),
        (30, 7, 0.3, (21, 24, 27, 30, 33, 36, 39)),
    ],
)
def test_branches_around_a_rate(rate, branches, expansion_rate, expected):
    assert branch_rates(rate, expansion_rate=expansion_rate, branches=branches) == expected


@given(
    rate=st.integers(1, 5000),
    expansion_rate=st.floats(0.001, 1.0),
    branches=st.sampled_from([2, 3, 5, 7]),
    max_rate=st.integers(1, 4000),
)
def test_branch_rates_are_distinct_ascending_clamped_and_around_the_rate(
    rate, expansion_rate, branches, max_rate
):
    found = branch_rates(rate, expansion_rate=expansion_rate, branches=branches, max_rate=max_rate)
    centre = min(rate, max_rate)
    assert list(found) == sorted(set(found))
    assert 1 <= found[0] <= centre <= found[-1] <= max_rate
    assert branches == 2 or centre in found
    assert len(found) <= branches
    reach = max(branches // 2, expansion_rate * centre + 0.5)
    if centre - reach >= 1 and centre + reach <= max_rate:
        assert len(found) == branches
        assert sum(found) == branches * centre


UP, DOWN, EQUAL, MILD = (0.0, 1e-9, 1.0), (1.0, 1e-9, 0.0), (0.01, 0.01, 0.01), (0.2, 0.3, 0.5)


@pytest.mark.parametrize(
    ("start", "pull", "expected"),
    [
        # by 1 while a tenth is no more than 1.5 frames, then by a tenth
        (1, UP, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 26]),
        (20, DOWN, [18, 16, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 1]),
        (80, UP, [88, 97, 100, 100, 100]),
        (37, EQUAL, [37, 37, 37]),
        (1, EQUAL, [1, 1]),
        # a mild preference moves large rates only
        (64, MILD, [66, 68, 70, 72, 74]),
        (4, MILD, [4, 4]),
    ],
)
def test_estimate_and_expand_many_times(start, pull, expected):
    rate, followed = start, []
    for _ in expected:
        rates = branch_rates(rate)
        alpha = [pull[1 + (branch > rate) - (branch < rate)] for branch in rates]
        rate = expansion().expected_rate(rates, mixing_weights(alpha))
        followed.append(rate)
    assert followed == expected


@pytest.mark.parametrize(
    ("rates", "taps", "expected"),
    [
        ((1, 20), (3, 3), ((1, 18), (1, 20), (2, 22))),
        ((4, 9, 16), (3, 1, 3), ((3, 9, 14), (4, 9, 16), (5, 9, 18))),
        ((100, 100), (3, 1), ((30, 100), (33, 100))),
    ],
)
def test_axes_are_expanded_side_by_side(rates, taps, expected):
    assert expansion(max_rate=33).branch_rates(rates, taps) == expected


@pytest.mark.parametrize(
    ("name", "value"), [("expansion_rate", 1.5), ("expansion_rate", 0.0), ("branches", 4), ("max_rate", 0)]
)
def test_a_number_out_of_range_is_named(name, value):
    with pytest.raises(InputError, match=rf"`{name}` must be .* but is {value}"):
        expansion(**{name: value})
