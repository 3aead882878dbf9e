from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from g2l.search.noise import rank_agreement, seed_noise, spreads

tables = arrays(np.float64, (5, 3), elements=st.integers(0, 100).map(float))


def table(*rows):
    return np.array(rows, dtype=np.float64)


def test_a_proxy_that_ranks_as_the_result_does_agrees_fully():
    result = table([10, 11], [20, 22], [30, 31], [40, 39])
    assert rank_agreement(result / 2, result) == pytest.approx(1.0)
    assert rank_agreement(-result, result) == pytest.approx(-1.0)


def test_a_seed_is_compared_with_the_other_seeds_only():
    """The first seed ranks upwards, the second downwards: each agrees with itself and not with the other."""
    scores = table([1, 4], [2, 3], [3, 2], [4, 1])
    assert rank_agreement(scores, scores) == pytest.approx(-1.0)


def test_known_correlation():
    # Ranks 1 2 3 4 against 2 1 4 3: 1 − 6·4 / (4·15) = 0.6; both ways alike.
    scores = table([1, 2], [2, 1], [3, 4], [4, 3])
    assert rank_agreement(scores, scores) == pytest.approx(0.6)


def test_equal_scores_rank_nothing():
    result = table([1, 2], [2, 1], [3, 4])
    assert rank_agreement(np.full((3, 2), 7.0), result) is None
    assert rank_agreement(result, np.full((3, 2), 7.0)) is None


def test_a_shift_of_all_by_a_seed_is_no_noise():
    assert seed_noise(table([1, 11], [2, 12], [5, 15])) == (pytest.approx(0.0), 2)
    noise, between = spreads(table([1, 11], [2, 12], [6, 16]))
    assert (noise, between) == (pytest.approx(0.0, abs=1e-7), pytest.approx(np.std([1, 2, 6], ddof=1)))


def test_known_spreads():
    # Means 1, 2, 3 and residuals ±1: the noise is √(4 / 1·2)… of three structures and two seeds.
    scores = table([0, 2], [3, 1], [3, 3])
    squares, freedom = seed_noise(scores)
    residual = scores - scores.mean(1, keepdims=True) - scores.mean(0) + scores.mean()
    assert (squares, freedom) == (pytest.approx((residual**2).sum()), 2)
    noise, between = spreads(scores)
    assert noise == pytest.approx(np.sqrt(squares / 2))
    assert between == pytest.approx(np.sqrt(max(0, 1.0 - noise**2 / 2)))


def test_spread_between_structures_is_not_that_of_the_noise():
    generator = np.random.default_rng(0)
    noise, between = spreads(generator.normal(0, 3, (400, 4)) + generator.normal(60, 5, (400, 1)))
    assert noise == pytest.approx(3, abs=0.3)
    assert between == pytest.approx(5, abs=0.6)


@given(tables, tables, st.permutations(range(5)), st.permutations(range(3)))
def test_names_of_structures_and_seeds_do_not_matter(proxy, result, structures, seeds):
    def moved(scores):
        return scores[list(structures)][:, list(seeds)]

    first, second = rank_agreement(proxy, result), rank_agreement(moved(proxy), moved(result))
    assert second == (None if first is None else pytest.approx(first, abs=1e-12))
    assert spreads(moved(result)) == pytest.approx(spreads(result), abs=1e-6)


@given(tables, st.integers(1, 50), st.integers(-1000, 1000))
def test_scale_and_origin_of_the_proxy_do_not_matter(scores, factor, shift):
    first, second = rank_agreement(scores, scores), rank_agreement(factor * scores + shift, scores)
    assert second == (None if first is None else pytest.approx(first, abs=1e-12))
