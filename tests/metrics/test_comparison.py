from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.metrics.comparison import Comparison, compare

points = st.integers(0, 1000).map(lambda tenths: tenths / 10)
pairs = st.lists(st.tuples(points, points), min_size=2, max_size=6)


def interval(estimate, low, high, **more) -> Comparison:
    return Comparison(estimate=estimate, low=low, high=high, seeds=5, detectable=2.2, **more)


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (interval(2.1, 0.6, 3.4), "better", "better by 2.1 (95 % interval 0.6 to 3.4; 5 seeds)"),
        (interval(-2.1, -3.4, -0.6), "worse", "worse by 2.1 (95 % interval −3.4 to −0.6; 5 seeds)"),
        (interval(0.3, -0.4, 0.9), "equal", "equal within ±1.0 (+0.3, 95 % interval −0.4 to 0.9; 5 seeds)"),
        (
            interval(0.3, -0.4, 0.9, margin=0.5),
            "undecided",
            "undecided (+0.3, 95 % interval −0.4 to 0.9; 5 seeds; likely to detect differences of 2.2 or "
            "more)",
        ),
        (
            interval(0.3, -1.2, 1.9, folds=2, videos=24, more=(3, "folds")),
            "undecided",
            "undecided (+0.3, 95 % interval −1.2 to 1.9; 2 folds, 5 seeds in all, 24 videos; likely to "
            "detect differences of 2.2 or more; about 3 more folds would decide)",
        ),
        (
            interval(2.1, 0.6, 3.4, folds=5),
            "better",
            "better by 2.1 (95 % interval 0.6 to 3.4; 5 folds, 5 seeds in all)",
        ),
        (Comparison(estimate=1.5), "undecided", "undecided (+1.5; one seed has no interval)"),
        (Comparison(estimate=-0.04, videos=1), "undecided", "undecided (+0.0; one video has no interval)"),
    ],
)
def test_verdicts_and_their_words(found, verdict, words):
    assert (found.verdict, found.words()) == (verdict, words)
    assert Comparison.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_one_seed_has_no_interval():
    assert compare([66.0], [64.5]) == Comparison(estimate=1.5)


def test_known_interval():
    """Of two seeds the percentile bootstrap is from one difference to the other; stretched by √2·t / z."""
    found = compare([61.0, 63.0], [60.0, 60.0])
    assert (found.estimate, found.standard_error, found.seeds) == (2.0, pytest.approx(1.0), 2)
    stretch = math.sqrt(2) * 12.7062 / 1.95996
    assert (found.low, found.high) == (pytest.approx(2 - stretch, 1e-4), pytest.approx(2 + stretch, 1e-4))


@pytest.mark.parametrize(("seeds", "detectable"), [(2, 29), (3, 8.2), (5, 4.3), (10, 2.5), (15, 2.0)])
def test_detectable_difference_is_that_of_the_t_test(seeds, detectable):
    """METHOD, section 8: what n pairs of standard deviation 2.5 show with 80 % power."""
    scores = np.linspace(-1, 1, seeds)
    found = compare(list(2.5 * scores / scores.std(ddof=1)), [0.0] * seeds)
    assert found.detectable == pytest.approx(detectable, rel=0.03)


def test_more_seeds_that_would_decide():
    found = compare([62.0, 59.0, 64.0], [60.0, 60.0, 60.0])
    assert (found.verdict, found.more) == ("undecided", (9, "seeds"))
    assert compare([90.0, 10.0, 50.0], [50.0, 50.0, 50.0]).more is None


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
    assert found.low <= found.estimate + 1e-9
    assert found.high >= found.estimate - 1e-9
    assert turned.estimate == pytest.approx(-found.estimate)
    width = found.high - found.low
    # Both are drawn anew, so they agree up to what 2,000 resamples know of a quantile.
    assert turned.high == pytest.approx(-found.low, abs=0.25 * width + 1e-9)


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.91), (5, 0.91)])
def test_coverage(seeds, least):
    """The interval holds the true mean in about 95 % of comparisons; the plain percentile one: 76 and 84."""
    generator = np.random.default_rng(0)
    drawn = generator.normal(2.0, 3.0, size=(300, seeds))
    found = [compare(list(row), [0.0] * seeds) for row in drawn]
    assert np.mean([one.low <= 2.0 <= one.high for one in found]) >= least


def test_a_comparison_of_0_1_0_is_read():
    old = {"mean": 2.0, "standard_error": 1.0, "low": 0.5, "high": 3.5, "seeds": 2, "words": "better by 2.0"}
    assert Comparison.from_dict(old).words() == "better by 2.0 (95 % interval 0.5 to 3.5; 2 seeds)"


@pytest.mark.parametrize(
    "wrong",
    [{"low": "a"}, {"estimate": None}, {"seeds": []}, {"high": math.inf}, {"more": 3}, {"margin": [1]}],
)
def test_values_of_another_kind_are_refused(wrong):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Comparison.from_dict(interval(2.1, 0.6, 3.4).as_dict() | wrong)


def test_wrong_lists_are_refused():
    for ours, theirs, match in (
        ([1.0, 2.0], [1.0], "but hold 2 and 1"),
        ([], [], "but hold 0 and 0"),
        ([1.0, math.nan], [1.0, 2.0], "must be finite"),
    ):
        with pytest.raises(InputError, match=match):
            compare(ours, theirs)
