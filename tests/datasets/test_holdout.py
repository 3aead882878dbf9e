from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import GroupShuffleSplit

from g2l.datasets.holdout import SUBJECT_PATTERNS, cut_holdout, group_of
from g2l.errors import InputError

GTEA = tuple(f"S{subject}_{dish}_C1" for subject in (1, 2, 3) for dish in ("Cheese", "Coffee", "Tea"))
SALADS = tuple(f"rgb-{user:02}-{take}" for user in range(1, 11) for take in (1, 2))
BREAKFAST = tuple(f"P{p:02}_cam0{c}_P{p:02}_cereals" for p in range(3, 9) for c in (1, 2))


@pytest.mark.parametrize(
    ("name", "pattern", "group"),
    [
        ("S1_Cheese_C1", SUBJECT_PATTERNS[0], "S1"),
        ("rgb-01-1", SUBJECT_PATTERNS[1], "01"),
        ("P03_cam01_P03_cereals", SUBJECT_PATTERNS[2], "P03"),
        ("rgb-01-1", SUBJECT_PATTERNS[0], None),
        ("kim-7", r"-(\d)", "7"),
        ("kim", "kim(x)?", None),
    ],
)
def test_group_of(name: str, pattern: str, group: str | None) -> None:
    assert group_of(name, pattern) == group


@pytest.mark.parametrize("names", [GTEA, SALADS, BREAKFAST])
def test_known_names_are_grouped_by_subject(names: tuple[str, ...]) -> None:
    cut = cut_holdout(names, 0.25, 0, None)
    assert cut.grouped
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


def test_names_without_a_known_subject_are_not_grouped_and_say_so() -> None:
    cut = cut_holdout(("alpha", "beta", "gamma"), 0.25, 0, None)
    assert not cut.grouped
    assert cut.notice == "no subject is known from the video names: the hold-out is not grouped."


def test_a_pattern_that_misses_a_name_is_not_used_and_says_so() -> None:
    cut = cut_holdout((*GTEA, "other"), 0.25, 0, r"^(S\d)")
    assert not cut.grouped
    assert cut.notice is not None
    assert "does not match 'other'" in cut.notice


def test_a_single_subject_is_not_grouped_and_says_so() -> None:
    cut = cut_holdout(GTEA[:3], 0.25, 0, None)
    assert not cut.grouped
    assert cut.notice == "all training videos are of subject 'S1': the hold-out is not grouped."


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


def test_the_first_rotation_is_the_cut_of_earlier_versions():
    groups = [name[:2] for name in GTEA]
    split = GroupShuffleSplit(n_splits=1, test_size=1, random_state=3).split(GTEA, groups=groups)
    _, held = next(split)
    assert cut_holdout(GTEA, 0.25, 3, None).holdout == tuple(GTEA[number] for number in held)
