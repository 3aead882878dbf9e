"""Wrong files: one line that names file, line and field, exit code 2, and no output folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_lines import GLOBAL, LOCAL, SMALL, TRAIN, Run, refusal

DATA = Path("data/tiny")
BUNDLE = DATA / "splits/train.split1.bundle"


def first() -> str:
    """The first training video."""
    return BUNDLE.read_text().split()[0].removesuffix(".txt")


def features() -> Path:
    return DATA / "features" / f"{first()}.npy"


def labels() -> Path:
    return DATA / "groundTruth" / f"{first()}.txt"


def rename_first_class() -> None:
    lines = labels().read_text().splitlines()
    lines[2] = "xbackground"
    labels().write_text("\n".join(lines))


def square_features() -> None:
    for path in (DATA / "features").iterdir():
        np.save(path, np.zeros((4, 4), np.float32))


@pytest.mark.parametrize("command", [TRAIN, GLOBAL], ids=["train", "search"])
@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (
            lambda: BUNDLE.write_text(BUNDLE.read_text() + "nobody.txt\n"),
            ["train.split1.bundle:6: video 'nobody' has no features/nobody.npy."],
        ),
        (lambda: BUNDLE.write_text(""), ["train.split1.bundle: expected", "the bundle is empty."]),
        (
            lambda: BUNDLE.write_text(BUNDLE.read_text() + "../x.txt\n"),
            ["train.split1.bundle:6:", "holds a path separator"],
        ),
        (
            rename_first_class,
            [".txt:3: class 'xbackground' is not in the mapping.", "did you mean background?"],
        ),
        (
            lambda: labels().write_text(labels().read_text() + "background\n" * 40),
            [".npy: has 72 frames, but data/tiny/groundTruth/", "has 112 labels", "at most 16."],
        ),
        (lambda: features().unlink(), ["train.split1.bundle:1: video", "has no features/"]),
        (lambda: labels().unlink(), ["train.split1.bundle:1: video", "has no groundTruth/"]),
        (lambda: features().write_bytes(b"PNG"), [".npy: expected a numpy array (.npy)"]),
        (lambda: features().write_bytes(features().read_bytes()[:-9]), [".npy: is truncated: expected"]),
        (
            lambda: np.save(features(), np.zeros((3, 72), np.float32)),
            [".npy: expected feature_dim 4, but its shape is 3 × 72"],
        ),
        (square_features, [".npy: has 4 frames, but"]),
        (lambda: (DATA / "mapping.txt").write_text("0 a\n2 b\n"), ["mapping.txt:2: indices must be 0 … 1"]),
        (lambda: (DATA / "mapping.txt").unlink(), ["mapping.txt: no such file."]),
    ],
    ids=[
        *("absent-video", "empty-bundle", "path-in-bundle", "unknown-label", "length-mismatch"),
        *("no-features", "no-labels", "no-array", "truncated", "feature-dim", "square"),
        *("mapping-gap", "no-mapping"),
    ],
)
def test_a_faulty_data_set(
    run: Run, command: tuple[str, ...], spoil: Callable[[], object], parts: list[str]
) -> None:
    spoil()
    message = refusal(run(*command, "--output-dir", "out"))
    for part in parts:
        assert part in message
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "command",
    [TRAIN, GLOBAL, ("search-local", *SMALL, *LOCAL, "--hand-designed")],
    ids=["train", "search-global", "search-local"],
)
def test_features_that_are_not_finite(run: Run, command: tuple[str, ...]) -> None:
    values = np.load(features())
    values[2, 5] = np.nan
    np.save(features(), values)
    message = refusal(run(*command, "--output-dir", "out"))
    assert f"error: {features()}: features must be finite, but row 2 of frame 5 is nan instead" in message
    # The values are read while training: what the stage had written by then is taken back.
    assert not Path("out").exists()


def test_transposed_features_are_turned_and_said(run: Run) -> None:
    np.save(features(), np.load(features()).T)
    told = run(*TRAIN, "--output-dir", "out")
    assert told.exit_code == 0, told.stderr
    warnings = [line for line in told.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1  # one line, however long
    assert "1 of 8 files are stored as frames × feature_dim" in warnings[0]
    assert f"{first()}.npy: stored as 72 frames × 4 features" in warnings[0]
    plain = run(*TRAIN, "--output-dir", "straight", "--data-root", "data")
    assert plain.stdout == told.stdout


def test_lengths_within_the_tolerance_are_cut_and_said(run: Run) -> None:
    np.save(features(), np.load(features())[:, :-3])
    told = run(*TRAIN)
    assert told.exit_code == 0
    assert told.stderr.count("warning: ") == 1
    assert "has 69 frames, but data/tiny/groundTruth/" in told.stderr


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{"schema": "g2l.structure/1",\n"stages": [[1, 2}', ["s.json:2: expected JSON", "column"]),
        ("[1, 2]", ["s.json: expected a JSON object"]),
        ("{}", ["s.json: expected `schema` (g2l), `model` (official) or `structure` (mmcv)"]),
        ('{"schema": "g2l.structure/9"}', ["s.json: `schema` must be 'g2l.structure/1'"]),
        ('{"schema": "g2l.structure/1", "stages": [[1, 0]]}', ["s.json: `stages[0][1]`", "0"]),
        (
            '{"schema": "g2l.structure/1", "stages": [[1, 2, 4]]}',
            ["s.json: expected 1 stages of 2 layers, but found stages of 3 layers.", "--stages and --layers"],
        ),
        ('{"schema": "g2l.structure/1", "stages": [[1, 2], [1, 2]]}', ["but found stages of 2, 2 layers."]),
    ],
)
@pytest.mark.parametrize("command", ["train", "search-local"])
def test_a_faulty_structure(run: Run, command: str, text: str, parts: list[str]) -> None:
    Path("s.json").write_text(text)
    message = refusal(run(command, *SMALL, "--structure", "s.json", "--output-dir", "out"))
    for part in parts:
        assert part in message
    assert not Path("out").exists()
