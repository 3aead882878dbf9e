from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.holdout import SUBJECT_PATTERNS, cut_holdout, group_of
from g2l.errors import InputError

GTEA = tuple(f"S{subject}_{dish}_C1" for subject in (1, 2, 3) for dish in ("Cheese", "Coffee", "Tea"))
SALADS = tuple(f"rgb-{user:02}-{take}" for user in range(1, 11) for take in (1, 2))
BREAKFAST = tuple(f"P{p:02}_cam0{c}_P{p:02}_cereals" for p in range(3, 9) for c in (1, 2))


@pytest.mark.parametrize("names", [GTEA, SALADS, BREAKFAST])
def test_known_names_are_grouped_by_subject(names: tuple[str, ...]) -> None:
    cut = cut_holdout(names, 0.25, 0, None)
    assert cut.notice is None
    subject = next(p for p in SUBJECT_PATTERNS if group_of(names[0], p))
    sides = [{group_of(name, subject) for name in side} for side in (cut.train, cut.holdout)]
    assert not sides[0] & sides[1]


@given(
    count=st.integers(2, 20),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(-5, 2**40),
    pattern=st.sampled_from([None, "", r"^(.)"]),
    takes=st.integers(1, 3),
)
def test_every_video_is_on_one_side_and_no_side_is_empty(
    count: int, fraction: float, seed: int, pattern: str | None, takes: int
) -> None:
    names = tuple(f"S{number // takes}_{number}" for number in range(count))
    cut = cut_holdout(names, fraction, seed, pattern)
    assert cut.train
    assert cut.holdout
    assert sorted(cut.train + cut.holdout) == sorted(names)
    assert [name for name in names if name in cut.train] == list(cut.train)


def test_the_cut_depends_on_the_set_of_names_and_the_seed_only() -> None:
    cut = cut_holdout(SALADS, 0.25, 3, None)
    assert set(cut_holdout(SALADS[::-1], 0.25, 3, None).holdout) == set(cut.holdout)
    assert cut_holdout(SALADS, 0.25, 3, None) == cut
    assert len({cut_holdout(SALADS, 0.25, seed, None).holdout for seed in range(6)}) > 1
    assert len(cut.holdout) == 4  # 2 of 10 users


@pytest.mark.parametrize(
    ("names", "pattern", "notice"),
    [
        (("alpha", "beta", "gamma"), None, "no subject is known from the video names"),
        ((*GTEA, "other"), r"^(S\d)", "does not match 'other'"),
        (GTEA[:3], None, "all training videos are of subject 'S1'"),
        (("kim", "tim"), "kim(x)?", "does not match 'kim'"),
    ],
)
def test_what_cannot_be_grouped_is_noted(names: tuple[str, ...], pattern: str | None, notice: str) -> None:
    cut = cut_holdout(names, 0.25, 0, pattern)
    assert notice in (cut.notice or "")


def test_faults_are_input_errors() -> None:
    with pytest.raises(InputError, match="needs at least 2 training videos, but the train bundle has 1"):
        cut_holdout(("S1_A",), 0.25, 0, None)
    with pytest.raises(
        InputError, match=r"`group_pattern` must be a regular expression, but is '\(' instead"
    ):
        cut_holdout(GTEA, 0.25, 0, "(")
    with pytest.raises(InputError, match=r"must have a group for the subject, but is '\^S' instead"):
        cut_holdout(GTEA, 0.25, 0, "^S")


@pytest.mark.parametrize("names", [GTEA, SALADS, BREAKFAST])
def test_rotations_hold_out_every_group_once_before_any_twice(names):
    rotations = cut_holdout(names, 0.25, 3, None).rotations
    held = [cut_holdout(names, 0.25, 3, None, number).holdout for number in range(rotations)]
    assert {name for cut in held for name in cut} == set(names)
    for one, other in combinations(held[:-1], 2):
        assert not set(one) & set(other)
    assert cut_holdout(names, 0.25, 3, None, rotations - 1).holdout != held[0]
