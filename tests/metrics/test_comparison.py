from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.metrics.comparison import Comparison, compare

points = st.integers(0, 1000).map(lambda tenths: tenths / 10)
pairs = st.lists(st.tuples(points, points), min_size=2, max_size=6)


def test_words_of_what_is_better_worse_and_neither():
    assert (
        Comparison(2.1, 0.8, 0.6, 3.4, 5).words() == "better by 2.1 ± 0.8 (95 % interval 0.6 to 3.4, 5 seeds)"
    )
    assert (
        Comparison(-2.1, 0.8, -3.4, -0.6, 5).words()
        == "worse by 2.1 ± 0.8 (95 % interval −3.4 to −0.6, 5 seeds)"
    )
    assert (
        Comparison(0.3, 0.8, -1.2, 1.9, 5).words()
        == "no difference that 5 seeds can show (+0.3, 95 % interval −1.2 to 1.9)"
    )


def test_one_seed_has_no_interval():
    found = compare([66.0], [64.5])
    assert found == Comparison(1.5, None, None, None, 1)
    assert found.words() == "one seed cannot show a difference (+1.5)"
    assert compare([1.0], [1.04]).words().endswith("(+0.0)")


def test_known_interval():
    """Of two seeds the percentile bootstrap is from one difference to the other; stretched by √2·t / z."""
    found = compare([61.0, 63.0], [60.0, 60.0])
    assert (found.mean, found.standard_error, found.seeds) == (2.0, pytest.approx(1.0), 2)
    stretch = math.sqrt(2) * 12.7062 / 1.95996
    assert (found.low, found.high) == (pytest.approx(2 - stretch, 1e-4), pytest.approx(2 + stretch, 1e-4))


def test_equal_scores_do_not_differ():
    found = compare([60.1, 70.3, 65.7], [60.1, 70.3, 65.7])
    assert found == Comparison(0.0, 0.0, 0.0, 0.0, 3)
    assert found.words() == "no difference that 3 seeds can show (+0.0, 95 % interval 0.0 to 0.0)"


def test_a_difference_that_every_seed_shows_is_one():
    found = compare([70.0, 71.0, 69.5, 70.2, 70.6], [60.0, 61.5, 59.0, 60.1, 61.0])
    assert found.words() == "better by 9.9 ± 0.2 (95 % interval 9.5 to 10.4, 5 seeds)"


def test_pairing_takes_out_what_a_seed_does_to_both():
    seeds = np.array([50.0, 60.0, 70.0, 80.0])
    found = compare(list(seeds + np.array([1.0, 1.2, 0.9, 1.1])), list(seeds))
    assert found.low is not None
    assert found.low > 0.8


@given(pairs, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_order_of_the_seeds_does_not_matter(scores, random):
    shuffled = random.sample(scores, len(scores))
    assert compare(*zip(*scores, strict=True)) == compare(*zip(*shuffled, strict=True))


@given(pairs)
@settings(max_examples=25, deadline=None)
def test_interval_holds_the_mean_and_turns_with_the_sides(scores):
    ours, theirs = zip(*scores, strict=True)
    found, turned = compare(ours, theirs), compare(theirs, ours)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.mean + 1e-9
    assert found.high >= found.mean - 1e-9
    assert turned.mean == pytest.approx(-found.mean)
    width = found.high - found.low
    # Both are drawn anew, so they agree up to what 9,999 resamples know of a quantile.
    assert turned.high == pytest.approx(-found.low, abs=0.05 * width + 1e-9)


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.91), (5, 0.91)])
def test_coverage(seeds, least):
    """The interval holds the true mean in about 95 % of comparisons; the plain percentile one: 76 and 84."""
    generator = np.random.default_rng(0)
    drawn = generator.normal(2.0, 3.0, size=(300, seeds))
    found = [compare(list(row), [0.0] * seeds) for row in drawn]
    assert np.mean([one.low <= 2.0 <= one.high for one in found]) >= least


def test_json_values():
    assert compare([66.0], [64.5]).as_dict() == {
        "mean": 1.5,
        "standard_error": None,
        "low": None,
        "high": None,
        "seeds": 1,
        "words": "one seed cannot show a difference (+1.5)",
    }


def test_wrong_lists_are_refused():
    with pytest.raises(InputError, match=r"^`theirs` must hold 2 scores, but holds 1 instead\.$"):
        compare([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match=r"^`ours` must hold at least one score, but is empty instead\.$"):
        compare([], [])
    with pytest.raises(InputError, match=r"^`ours` and `theirs` must be finite, but are not\.$"):
        compare([1.0, math.nan], [1.0, 2.0])
