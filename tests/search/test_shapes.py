"""Shapes, and the search that compares them: synthetic curves, every executor, kills and resumes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_landscapes import Shuffled
from small_shapes import FULL, HAND, RATES, SMALL, TINY, RatesToo, curves, shape_space

from g2l.config import GlobalSearchConfig, Preference, ProxyChoice, Space
from g2l.errors import InputError
from g2l.search.engine import Search
from g2l.search.executors.base import SerialExecutor
from g2l.search.executors.process import ProcessExecutor
from g2l.search.journal import Journal
from g2l.search.loop import run_global_search
from g2l.search.proposals.shapes import plan_shapes
from g2l.search.shapes import Shape, canonical_shapes


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("3,2", ((1, 2, 4), (1, 2))),
        ("3^3", ((1, 3, 9),)),
        ("4^1.5", ((1, 2, 2, 3),)),
        ("5^2/2", ((1, 2, 1, 2, 1),)),
        (" 2, 1 ", ((1, 2), (1,))),
    ],
)
def test_a_text_gives_a_structure(text, stages):
    assert Shape.parse(text).structure(largest=1000).stages == stages


@given(
    st.builds(
        Shape,
        st.lists(st.integers(1, 12), min_size=1, max_size=5).map(tuple),
        st.sampled_from([1.5, 2.0, 3.0, 4.0]),
        st.none() | st.integers(1, 6),
    )
)
def test_a_shape_is_read_back_from_its_text(shape):
    assert Shape.parse(str(shape)) == shape
    structure = shape.structure(largest=50)
    assert structure.shape == shape.layers
    assert max(structure.rates) <= 50


def test_limits_and_dual_stages():
    shape = Shape((3, 2))
    assert shape.structure(largest=2, smallest=2).stages == ((2, 2, 2), (2, 2))
    assert shape.structure(largest=9, dual=True).stages == ((4, 2, 1, 1, 2, 4), (1, 2))


@pytest.mark.parametrize("text", ["", "0,5", "8,,5", "5^1", "5^99", "5^2/0", "a", "999,999"])
def test_other_texts_are_refused(text):
    with pytest.raises(InputError, match="`shapes` must hold layers per stage"):
        Shape.parse(text)


def test_canonical_shapes_are_smaller_and_distinct():
    shapes = canonical_shapes(4, 10)
    assert [str(one) for one in shapes[:2]] == ["8,5,5", "6,6,6"]
    assert all(sum(one.layers) < 40 for one in shapes)
    for stages in (1, 2, 4):
        for layers in (1, 2, 10):
            found = canonical_shapes(stages, layers)
            assert len(set(found)) == len(found)
            assert all(len(one.layers) <= stages and max(one.layers) <= layers for one in found)


def search(fitness=None, where=None, *, executor=None, journal=None, seed=5, **changes):
    config = GlobalSearchConfig(space=Space.SHAPES, trainings=20.0).replace(**changes)
    return run_global_search(
        Search(
            where or shape_space(),
            config,
            executor or SerialExecutor(fitness or curves()),
            seed=seed,
            hand_designed=HAND,
            full_steps=FULL,
            journal=journal,
        )
    )


def row(result, structure):
    return next(one for one in result.proof.rows if one.structure == structure)


def test_the_cheapest_that_is_shown_within_the_margin_wins_with_its_length():
    result = search()
    assert (result.winner, result.epochs) == (SMALL, 7)
    assert "no more than 1.5 points worse" in result.proof.reason
    assert row(result, SMALL).shown
    assert row(result, TINY).high < -1.5
    assert result.proof.verdict is None


def test_a_better_structure_is_called_better():
    result = search(curves(small=66.0), prefer=Preference.ACCURACY)
    assert result.winner == SMALL
    assert "shown to be better" in result.proof.reason


def test_every_block_has_its_own_seed_and_holdout_and_all_its_structures_share_them():
    seen = []

    def noting(task):
        seen.append(task)
        return curves(small=57.0, noise=4.0)(task)

    search(noting, shape_space(SMALL, allowed=12.0))
    blocks = {}
    for task in seen:
        blocks.setdefault((task.seed, task.holdouts), set()).add(task.structure)
    assert [seed for seed, _ in blocks] == list(range(5, 5 + len(blocks)))
    assert [held for _, held in blocks] == [(number % 3,) for number in range(len(blocks))]
    assert all(HAND in structures for structures in blocks.values())


@pytest.mark.parametrize("allowed", [2.0, 3.5, 5.0, 9.0])
def test_no_more_is_spent_than_allowed(allowed):
    result = search(curves(small=58.0, noise=5.0), shape_space(allowed=allowed))
    assert result.steps <= allowed * FULL


def test_a_curve_that_still_rises_is_extended():
    result = search(curves(peak=16))
    assert row(result, HAND).epochs == 16
    assert not row(result, HAND).rising
    assert result.epochs == 16


def test_curves_at_the_floor_are_no_evidence():
    low = search(curves(hand=4.0, small=4.5, tiny=4.0, peak=1))
    assert low.winner == HAND
    assert "below the floor" in low.verdict
    some = search(curves(tiny=2.0))
    assert TINY not in {one.structure for one in some.proof.rows}


def test_training_goes_on_where_all_are_at_the_floor():
    result = search(curves(peak=20, learns=12))
    assert result.verdict is None
    assert row(result, HAND).epochs == 20
    assert "below the floor" in search(curves(learns=21)).verdict


def test_a_structure_that_fails_is_left_out():
    result = search(curves(small=math.nan))
    assert result.winner == HAND
    assert SMALL not in {one.structure for one in result.proof.rows}


def test_without_the_hand_designed_structure_nothing_is_compared():
    for hand in (math.nan, 2.0):
        result = search(curves(hand=hand))
        assert (result.winner, result.verdict) == (SMALL, None)
        assert "nothing; 8,5,5 is the best of the others" in result.proof.reason
        assert not any(row.shown for row in result.proof.rows)
        assert result.proof.rows[0].epochs == 10


def rates_after(at, **changes):
    """Search shapes, then rates of the winner; the best ones have the rate `at` in an early layer."""
    settings = {"proxy": ProxyChoice.THIRD, "leaders": 2, "population": 6, "generations": 2} | changes
    return search(RatesToo(at), shape_space(allowed=30.0, rates=RATES), trainings=30.0, **settings)


def test_rates_of_the_winning_shape_are_searched_after_the_shapes():
    result = rates_after(at=32)
    assert result.winner.shape == SMALL.shape
    assert result.winner.rates != SMALL.rates
    assert 32 in result.winner.stages[0][:4]
    found = result.proof.winner
    assert (found.name, found.cost, found.shown) == ("8,5,5, rates searched", 0.45, True)
    assert found.low < found.difference < found.high
    assert "rates found are " in result.proof.reason
    assert result.race.results[0].structure == result.winner
    assert result.steps <= 30 * FULL
    assert (result.hand_designed.structure, result.best.structure) == (HAND, SMALL)


def test_rates_no_better_than_those_of_the_shape_are_not_taken():
    result = rates_after(at=None)
    assert (result.winner, result.epochs) == (SMALL, 7)
    assert "No other rates are shown to be better" in result.proof.reason


def test_shapes_leave_half_of_the_budget_to_the_rates():
    config = GlobalSearchConfig(space=Space.BOTH, trainings=30.0, leaders=2)
    plan = plan_shapes(config, shape_space(allowed=30.0, rates=RATES))
    assert "A search of 15.0 full trainings" in plan.power
    assert 15 < plan.expected.training_equivalents <= 30
    with pytest.raises(InputError, match="must pay for two candidates"):
        plan_shapes(
            config.replace(trainings=5.0, leaders=3, proxy=ProxyChoice.THIRD),
            shape_space(allowed=5.0, rates=RATES),
        )


@pytest.mark.parametrize("make", [lambda f: Shuffled(f, 1), lambda f: ProcessExecutor(f, workers=2)])
def test_the_executor_does_not_matter(make):
    expected = search(curves(noise=2.0))
    with make(curves(noise=2.0)) as executor:
        assert search(executor=executor) == expected


def test_another_space_is_another_search(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path, resume=False, identity={}) as journal:
        search(journal=journal)
    with (
        pytest.raises(InputError, match=r"`space\.max_epochs`"),
        Journal(path, resume=True, identity={}) as journal,
    ):
        search(where=shape_space(max_epochs=15), journal=journal)


def test_a_budget_says_what_it_can_show():
    config = GlobalSearchConfig(space=Space.SHAPES, trainings=20.0)
    plan = plan_shapes(config, shape_space(), seconds_per_step=0.5, bytes_per_checkpoint=10)
    assert plan.expected.training_equivalents == 20.0
    assert plan.expected.seconds == 20 * FULL * 0.5
    assert "A search of 20.0 full trainings is likely to show differences of " in plan.power
    larger = plan_shapes(config, shape_space(allowed=80.0))
    assert larger.power != plan.power
    with pytest.raises(InputError, match="must pay for a pair of trainings"):
        plan_shapes(config.replace(trainings=1.0), shape_space(allowed=1.0))
