"""Splits of a data set that has none yet: taken from a folder of bundles, or cut by subject."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from g2l.datasets.errors import DataError, DataWarning
from g2l.datasets.holdout import cut_holdout
from g2l.datasets.layout import both_sides, find_split_files, parse_bundle
from g2l.errors import did_you_mean

Split = tuple[tuple[str, ...], tuple[str, ...]]
"""Train and test videos."""


def given_splits(folder: Path, names: Collection[str], issues: list[DataError]) -> dict[int, Split]:
    """Return the splits of a folder of bundles, appending what is wrong with them to `issues`.

    Args:
        folder: Holds `train.split<k>.bundle` and `test.split<k>.bundle`.
        names: Videos that there are.
        issues: Added to.

    Raises:
        DataError: There is no such folder, or no bundle in it.
    """
    if not folder.is_dir():
        raise DataError(folder, None, "no such folder of bundles.")
    files = find_split_files(folder)
    if not files:
        raise DataError(folder, None, "expected train.split<k>.bundle and test.split<k>.bundle.")
    splits = {}
    for number in sorted({number for _, number in files}):
        train_path, test_path = (
            files.get((side, number), folder / f"{side}.split{number}.bundle") for side in ("train", "test")
        )
        train, test = (_given_side(path, names, issues) for path in (train_path, test_path))
        issues.extend(both_sides(train_path, train, test_path, test))
        splits[number] = (tuple(train), tuple(test))
    return splits


def cut_split(
    folder: Path,
    names: Sequence[str],
    *,
    test_fraction: float,
    seed: int,
    group_pattern: str | None,
    issues: list[DataError],
) -> dict[int, Split]:
    """Return split 1, no subject on both sides where the names tell subjects; otherwise a warning is added.

    Args:
        folder: The feature files, to name in issues.
        names: Videos.
        test_fraction: Share of the subjects to test on, in (0, 1).
        seed: Fixes the cut.
        group_pattern: As of `cut_holdout`.
        issues: Added to.

    Raises:
        DataError: There are fewer than two videos.
        InputError: The pattern is not usable.
    """
    if len(names) < 2:
        message = (
            f"a split into train and test needs at least 2 videos with segments, but found {len(names)}."
        )
        raise DataError(folder, None, message)
    cut = cut_holdout(names, test_fraction, seed, group_pattern)
    if not cut.grouped and group_pattern != "":
        message = (
            "train and test may show the same people: the names of the videos do not tell subjects apart."
        )
        hint = "--group-pattern tells how to find the subject in a name; '' when there is none."
        issues.append(DataWarning(folder, None, message, hint=hint))
    return {1: (cut.train, cut.holdout)}


def _given_side(path: Path, names: Collection[str], issues: list[DataError]) -> dict[str, int]:
    try:
        lines = parse_bundle(path, issues)
    except DataError as error:
        issues.append(error)
        return {}
    for name, line in lines.items():
        if name not in names:
            message = f"video {name!r} has no features with segments."
            issues.append(DataError(path, line, message, hint=did_you_mean(name, sorted(names))))
    return lines
