"""Cutting a hold-out from the train bundle, so that nothing is selected on test (METHOD, section 3.1).

Deviation from G2L, whose released code measures fitness on the test bundle.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from g2l.errors import InputError, brief

SUBJECT_PATTERNS = (
    r"^([Ss]\d+)_",  # GTEA: S1_Cheese_C1
    r"^rgb-(\d+)-",  # 50Salads: rgb-01-1
    r"^(P\d+)_",  # Breakfast: P03_cam01_P03_cereals
)
"""Patterns tried in this order when none is given."""


@dataclass(frozen=True)
class HoldoutCut:
    """The train bundle in two parts, each in the bundle's order."""

    train: tuple[str, ...]
    holdout: tuple[str, ...]
    rotations: int  # until every group was held out
    notice: str | None = None  # why subjects may be on both sides, where they should not


def group_of(name: str, pattern: str) -> str | None:
    """Return what the first group of `pattern` finds in a name, or None; InputError if it has none."""
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(
            f"`group_pattern` must be a regular expression, but is {brief(repr(pattern))} instead ({error})."
        ) from None
    if not compiled.groups:
        raise InputError(f"`group_pattern` must have a group for the subject, but is {pattern!r} instead.")
    match = compiled.search(name)
    return match[1] if match else None


def subjects_of(names: Sequence[str], pattern: str | None = None) -> dict[str, str]:
    """Return the subject of every video, empty where names do not show at least two; as `cut_holdout`."""
    groups, _ = _groups(names, pattern)
    return {} if groups is None else dict(zip(names, groups, strict=True))


def cut_holdout(
    names: Sequence[str], fraction: float, seed: int, pattern: str | None, rotation: int = 0
) -> HoldoutCut:
    """Cut at least two names in two, by subject where names contain one; a function of the set of names.

    Args:
        names: The train bundle.
        fraction: Share of the groups to hold out, in (0, 1); at least one group is on each side.
        seed: Fixes the cut.
        pattern: Regular expression whose first group is the subject; None tries `SUBJECT_PATTERNS`, "" means
            that every video is its own group.
        rotation: Which part is held out, modulo `HoldoutCut.rotations`. Parts of different rotations have no
            group in common, but the last one may share some with the first.
    """
    groups, notice = _groups(names, pattern)
    if len(names) < 2:
        raise InputError(
            f"a hold-out needs at least 2 training videos, but the train bundle has {len(names)}.",
            hint="add videos, or keep the last weights instead of the best (`selection` last).",
        )
    from sklearn.utils import shuffle  # takes half a second to import

    owners = groups or list(names)
    order = shuffle(np.unique(owners), random_state=seed % 2**32)
    count = min(max(round(fraction * len(order)), 1), len(order) - 1)
    held = set(np.roll(order, -rotation * count)[:count])
    sides: tuple[list[str], list[str]] = [], []
    for name, owner in zip(names, owners, strict=True):
        sides[owner in held].append(name)
    return HoldoutCut(tuple(sides[0]), tuple(sides[1]), -(-len(order) // count), notice)


def _groups(names: Sequence[str], pattern: str | None) -> tuple[list[str] | None, str | None]:
    """Return the group of every name, or None and the reason when videos are not to be grouped."""
    if pattern == "":
        return None, None
    for candidate in SUBJECT_PATTERNS if pattern is None else (pattern,):
        found = [group_of(name, candidate) for name in names]
        groups = [group for group in found if group is not None]
        if len(groups) < len(names):
            continue
        if len(set(groups)) == 1:
            return None, f"all training videos are of subject {groups[0]!r}: the hold-out is not grouped."
        return groups, None
    if pattern is None:
        return None, "no subject is known from the video names: the hold-out is not grouped."
    missing = next(name for name in names if group_of(name, pattern) is None)
    return None, f"`group_pattern` {pattern!r} does not match {missing!r}: the hold-out is not grouped."
