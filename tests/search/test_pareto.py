from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from g2l.search.pareto import crowding, fronts
from tests.oracles import naive_pareto


def rows():
    """Few distinct values, so that ties and equal rows are common."""
    value = st.one_of(st.integers(0, 4), st.integers(0, 1000), st.floats(-10, 10))
    width = st.integers(1, 3)
    return width.flatmap(lambda m: st.lists(st.lists(value, min_size=m, max_size=m), min_size=1, max_size=14))


@given(rows())
def test_fronts_are_those_of_the_oracle(values):
    assert fronts(np.array(values, dtype=float)).tolist() == naive_pareto.fronts(values)


@given(rows())
def test_distances_are_those_of_the_oracle(values):
    array = np.array(values, dtype=float)
    numbers = fronts(array)
    expected = naive_pareto.crowding(array.tolist(), numbers.tolist())
    np.testing.assert_allclose(crowding(array, numbers), expected, rtol=1e-12)


@given(rows(), st.randoms())
def test_fronts_do_not_depend_on_the_order_of_rows(values, random):
    array = np.array(values, dtype=float)
    places = list(range(len(values)))
    random.shuffle(places)
    assert fronts(array[places]).tolist() == fronts(array)[places].tolist()


def test_a_worked_example():
    values = np.array([[1, 9], [2, 4], [6, 3], [9, 1], [2, 9], [9, 9], [6, 4]], dtype=float)
    numbers = fronts(values)
    assert numbers.tolist() == [0, 0, 0, 0, 1, 2, 1]
    distance = crowding(values, numbers).tolist()
    assert distance[:4] == [math.inf, (6 - 1) / 8 + (9 - 3) / 8, (9 - 2) / 8 + (4 - 1) / 8, math.inf]
    assert distance[4:] == [math.inf] * 3


def test_of_equal_rows_the_first_stands_for_all():
    values = np.array([[1, 3], [2, 2], [2, 2], [3, 1], [1, 3]], dtype=float)
    assert fronts(values).tolist() == [0] * 5
    assert crowding(values, fronts(values)).tolist() == [math.inf, 2.0, 0.0, math.inf, 0.0]


def test_a_single_row_and_none():
    assert fronts(np.zeros((1, 2))).tolist() == [0]
    assert fronts(np.zeros((0, 2))).tolist() == []
    assert crowding(np.zeros((1, 2)), fronts(np.zeros((1, 2)))).tolist() == [math.inf]
    assert crowding(np.zeros((0, 2)), fronts(np.zeros((0, 2)))).tolist() == []
