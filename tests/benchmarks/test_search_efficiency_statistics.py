"""Rank correlation, spread and regret against naive forms and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, spearmanr

from benchmarks.search_efficiency.statistics import (
    cross_seed_correlation,
    of_the_others,
    ranks,
    regret,
    spearman,
    spread,
    spread_of_the_best,
    standard_error,
)

VALUES = arrays(np.float64, st.integers(2, 12), elements=st.integers(-3, 3).map(float))


@given(VALUES)
def test_ranks_are_those_of_scipy_ties_included(values):
    assert ranks(values).tolist() == rankdata(values).tolist()


@given(VALUES, st.integers(0, 2**32 - 1))
def test_rank_correlation_is_that_of_scipy(values, seed):
    other = np.random.default_rng(seed).normal(size=len(values)).round()
    expected = spearmanr(values, other).statistic if len(set(values)) > 1 < len(set(other)) else 0.0
    assert spearman(values, other) == pytest.approx(expected, abs=1e-12)


def test_many_rows_are_correlated_at_once():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 5, 9))
    assert spearman(first, second).tolist() == pytest.approx(
        [float(spearman(one, other)) for one, other in zip(first, second, strict=True)]
    )


def test_the_others_leave_the_seed_itself_out():
    scores = np.array([[1.0, 2.0], [3.0, 4.0], [8.0, 0.0]])
    assert of_the_others(scores).tolist() == [[5.5, 2.0], [4.5, 1.0], [2.0, 3.0]]


def test_a_signal_is_not_credited_for_the_noise_of_its_own_seed():
    noise = np.random.default_rng(0).normal(size=(3, 200))
    assert abs(cross_seed_correlation(noise, noise, resamples=50).value) < 0.15
    structure = np.tile(np.arange(200.0), (3, 1))
    found = cross_seed_correlation(structure, structure + noise, resamples=50)
    assert 0.99 < found.low < found.high <= 1
    assert found.value > 0.99


def test_regret_is_judged_by_seeds_that_the_signal_has_not_seen():
    score = np.array([[9.0, 0.0, 5.0], [0.0, 2.0, 5.0], [0.0, 2.0, 5.0]])
    assert regret(score, score) == pytest.approx((5.0 + 0.0 + 0.0) / 3)
    assert regret(np.tile([0.0, 0.0, 1.0], (3, 1)), score) == 0.0


def test_spread_parts_seeds_from_structures():
    generator = np.random.default_rng(0)
    structures = 5.0 * generator.normal(size=400)
    found = spread(structures + 2.0 * generator.normal(size=(3, 400)), resamples=50)
    assert found.seeds == pytest.approx(2.0, rel=0.1)
    assert found.structures == pytest.approx(5.0, rel=0.1)
    assert found.p_value < 0.05
    none = spread(generator.normal(size=(3, 100)), resamples=99)
    assert none.structures < 0.4
    assert none.p_value > 0.05


def test_the_best_are_not_flattered_by_their_choice():
    noise = np.random.default_rng(3).normal(size=(3, 60))
    found = spread_of_the_best(noise, noise)
    assert found.seeds == pytest.approx(1.0, rel=0.2)
    assert found.structures < 0.5


def test_a_standard_error_needs_two_values():
    assert standard_error(np.array([1.0, 3.0])) == 1.0
    assert np.isnan(standard_error(np.array([1.0])))
