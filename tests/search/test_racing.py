from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.search.racing import BEYOND_NOISE, Standing, choose, next_round, standings
from g2l.structure import DilationStructure

HAND, A, B, C = (DilationStructure(((rate,),)) for rate in (1, 2, 4, 8))
ORDERS = {HAND: 0, A: 1, B: 2, C: 3}
FAILED = -math.inf


def race(**scores):
    found = {"hand": HAND, "a": A, "b": B, "c": C}
    return standings({found[name]: row for name, row in scores.items()}, ORDERS)


def names(found):
    return [one.structure for one in found]


def test_a_standing_has_mean_and_standard_error():
    one = Standing(A, (60.0, 62.0, 64.0), 1)
    assert (one.mean, one.standard_error) == (62.0, pytest.approx(2 / math.sqrt(3)))
    assert Standing(A, (60.0,), 1).standard_error is None
    assert (Standing(A, (), 1).mean, Standing(A, (), 1).failed) == (FAILED, False)
    failed = Standing(A, (60.0, FAILED), 1)
    assert (failed.mean, failed.standard_error, failed.failed) == (FAILED, None, True)


def test_the_best_mean_is_first_and_ties_go_to_the_earlier():
    assert names(race(a=[60, 62], b=[70, 50], hand=[61, 61], c=[61, 61])) == [HAND, A, C, B]


def test_who_was_dropped_ranks_below_who_went_on_and_who_failed_is_last():
    assert names(race(a=[70], hand=[60, 60], b=[90, FAILED], c=[65, 50])) == [HAND, C, A, B]


def test_a_leader_beyond_noise_wins():
    choice = choose(race(hand=[60, 61, 59], a=[66, 67.5, 64.5], b=[61, 60, 60]), HAND)
    assert (choice.winner.structure, choice.difference, choice.tie) == (A, 6.0, False)
    assert choice.difference > BEYOND_NOISE * choice.standard_error


def test_ties_go_to_the_hand_designed_structure():
    choice = choose(race(hand=[60, 65, 55], a=[63, 60, 60], b=[61, 60, 60]), HAND)
    assert (choice.winner.structure, choice.difference, choice.tie) == (HAND, 1.0, True)


def test_a_hand_designed_structure_that_is_ahead_wins_without_a_tie():
    choice = choose(race(hand=[70, 71], a=[63, 60]), HAND)
    assert (choice.winner.structure, choice.difference, choice.tie) == (HAND, -9.0, False)


def test_known_standard_error_of_a_pair():
    """Of two structures, the pooled noise is that of the paired differences 1, 2, 3: 1 / √3."""
    choice = choose(race(hand=[60, 60, 60], a=[61, 62, 63]), HAND)
    assert choice.standard_error == pytest.approx(1 / math.sqrt(3))


def test_failures_neither_win_nor_stop_a_race():
    assert choose(race(hand=[60, 61], a=[FAILED, 90]), HAND).winner.structure == HAND
    choice = choose(race(hand=[FAILED, 60], a=[50, 51]), HAND)
    assert (choice.winner.structure, choice.difference) == (A, None)
    assert choose(race(hand=[FAILED], a=[FAILED]), HAND).winner.structure == HAND
    assert choose(race(hand=[], a=[]), HAND).winner.structure == HAND


def test_all_start():
    assert next_round(race(hand=[], a=[], b=[]), HAND) == (HAND, A, B)


def test_without_knowing_the_noise_all_get_a_second_seed():
    assert next_round(race(hand=[60], a=[50], b=[64]), HAND) == (B, HAND, A)


def test_who_is_behind_beyond_noise_is_dropped():
    second = race(hand=[60, 61], a=[64, 66], b=[55, 55], c=[63.5, 65])
    assert next_round(second, HAND) == (A, C, HAND)  # as the yardstick it stays
    assert next_round(race(hand=[60, 61], a=[64, 61], b=[63], c=[62, 61]), HAND) == (A, C, HAND)


def test_a_decided_race_ends():
    assert next_round(race(hand=[60, 60], a=[70, 71], b=[60, 61]), HAND) == ()
    assert next_round(race(hand=[70, 71], a=[60, 60], b=[60, 61]), HAND) == ()
    assert next_round(race(hand=[60, 61], a=[FAILED, 1]), HAND) == ()
    assert next_round(race(hand=[60]), HAND) == ()


def test_a_race_without_the_hand_designed_structure_is_refused():
    for call in (choose, next_round):
        with pytest.raises(
            InputError, match=r"^`race` must hold the hand-designed structure 1, but does not"
        ):
            call(race(a=[60]), HAND)


tables = st.lists(st.lists(st.integers(0, 100), min_size=3, max_size=3), min_size=4, max_size=4)


@given(tables, st.permutations(range(4)), st.permutations(range(3)))
def test_neither_names_nor_the_order_of_seeds_matter(rows, structures, seeds):
    plain = dict(zip(ORDERS, rows, strict=True))
    moved = {list(ORDERS)[i]: [rows[i][seed] for seed in seeds] for i in structures}
    first, second = standings(plain, ORDERS), standings(moved, ORDERS)
    assert names(first) == names(second)
    one, other = choose(first, HAND), choose(second, HAND)
    assume(abs(one.difference - BEYOND_NOISE * one.standard_error) > 1e-9)
    assert one.winner.structure == other.winner.structure
    assert one.difference == pytest.approx(other.difference)


@given(tables, st.integers(1, 40), st.integers(-50, 50))
def test_units_do_not_matter_and_the_winner_is_never_below_the_hand_designed(rows, factor, shift):
    plain = standings(dict(zip(ORDERS, rows, strict=True)), ORDERS)
    choice = choose(plain, HAND)
    assume(abs(choice.difference - BEYOND_NOISE * choice.standard_error) > 1e-9)
    scaled = [[factor * score + shift for score in row] for row in rows]
    assert choose(standings(dict(zip(ORDERS, scaled, strict=True)), ORDERS), HAND).winner.structure == (
        choice.winner.structure
    )
    assert choice.winner.mean >= next(one.mean for one in plain if one.structure == HAND)
    going = next_round(plain, HAND)
    assert not going or {HAND, plain[0].structure} <= set(going)
