from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from g2l.config import Preference
from g2l.search.proof import (
    NOISE,
    OF_VIDEOS,
    PRIOR_MEAN,
    PRIOR_SPREAD,
    blocks_to_show,
    pick,
    shrunken,
    smallest_difference,
)

COSTS = (1.0, 0.5, 0.3)


def blocks(generator, differences, count, noise=NOISE):
    """Scores under `count` hold-outs, each used once."""
    scores = 60 + generator.normal(0, 5, count) + np.array(differences)[:, None]
    return scores + generator.normal(0, noise, scores.shape)


def test_a_shift_of_a_whole_block_changes_nothing():
    scores = blocks(np.random.default_rng(0), (0, -1, 2), 4)
    one, other = shrunken(scores, range(4)), shrunken(scores + np.array([0, 10, -20, 5]), range(4))
    assert other.mean == pytest.approx(one.mean, abs=1e-2)
    assert other.error == pytest.approx(one.error, abs=1e-3)


def test_many_blocks_give_the_averages_and_few_are_shrunk():
    scores = blocks(np.random.default_rng(1), (0, -3, 1), 200)
    many = shrunken(scores, range(200))
    assert many.mean == pytest.approx((scores - scores[0]).mean(axis=1), abs=0.1)
    one = shrunken(np.array([[60.0], [70.0]]), [0])
    assert 0 < one.mean[1] < 5
    assert one.error[1] < PRIOR_SPREAD


def test_without_a_score_the_prior_is_all_that_is_known():
    estimate = shrunken(np.array([[60.0, 61], [np.nan, np.nan]]), [0, 1])
    assert (estimate.mean[1], estimate.blocks[1]) == (pytest.approx(PRIOR_MEAN), 0)
    assert estimate.error[1] == pytest.approx(PRIOR_SPREAD)
    assert not estimate.shown_above(-100)[1]


def test_the_same_videos_again_are_worth_less_than_new_ones():
    scores = blocks(np.random.default_rng(2), (0, 0), 4)
    new, again = shrunken(scores, range(4)), shrunken(scores, [0] * 4)
    assert again.error[1] > 1.2 * new.error[1]


def test_the_intervals_hold_where_the_model_does():
    """Of differences drawn from the prior, under noise of videos and seeds, one in ten is below the limit."""
    generator = np.random.default_rng(3)
    missed = []
    for _ in range(400):
        truth = np.array([0.0, *generator.normal(PRIOR_MEAN, PRIOR_SPREAD, 3)])
        held = generator.normal(0, NOISE * np.sqrt(OF_VIDEOS), (4, 2))[:, [0, 1, 0, 1]]
        scores = blocks(generator, truth, 4, NOISE * np.sqrt(1 - OF_VIDEOS)) + held
        low, _ = shrunken(scores, [0, 1, 0, 1]).interval()
        missed += list(truth[1:] < low[1:])
    share = np.mean(missed)
    assert stats.binomtest(sum(missed), len(missed), 0.1).proportion_ci(0.999).low <= 0.1
    assert 0.05 < share < 0.13


def estimated(*means, error=0.1, count=4):
    estimate = shrunken(np.full((len(means), count), 60.0), range(count))
    return type(estimate)(
        np.array(means), np.array([0.0, *[error] * (len(means) - 1)]), np.full(len(means), count), 20.0
    )


@pytest.mark.parametrize(
    ("means", "error", "prefer", "chosen"),
    [
        ((0, -1, -1), 0.1, Preference.SHOWN, 2),  # the cheapest shown
        ((0, -1, -2), 0.1, Preference.SHOWN, 1),
        ((0, -1, -1), 2.0, Preference.SHOWN, 0),  # nothing shown
        ((0, -1, -1), 2.0, Preference.CHEAPEST, 2),
        ((0, -1, -1), 0.1, Preference.ACCURACY, 0),
        ((0, 3, 2), 0.1, Preference.ACCURACY, 1),
    ],
)
def test_the_rule_that_picks(means, error, prefer, chosen):
    assert pick(estimated(*means, error=error), COSTS, 1.5, prefer) == chosen


def test_a_larger_structure_must_be_shown_better():
    costs = (1.0, 1.5)
    assert pick(estimated(0, -1), costs, 1.5, Preference.SHOWN) == 0
    assert pick(estimated(0, 2), costs, 1.5, Preference.SHOWN) == 1


def test_power_grows_with_blocks():
    found = [smallest_difference(count) for count in (1, 4, 16)]
    assert found == sorted(found, reverse=True)
    assert smallest_difference(blocks_to_show(1.5)) <= 1.5 < smallest_difference(blocks_to_show(1.5) - 1)
