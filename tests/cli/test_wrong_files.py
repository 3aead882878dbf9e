"""Wrong files: one line that names file, line and field, exit code 2, and no output folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_lines import SMALL, TRAIN, Run, refusal

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


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (
            lambda: BUNDLE.write_text(BUNDLE.read_text() + "nobody.txt\n"),
            ["train.split1.bundle:6: video 'nobody' has no features/nobody.npy."],
        ),
        (
            rename_first_class,
            [".txt:3: class 'xbackground' is not in the mapping.", "did you mean background?"],
        ),
        (
            lambda: labels().write_text(labels().read_text() + "background\n" * 40),
            [".npy: has 72 frames, but data/tiny/groundTruth/", "has 112 labels", "at most 16."],
        ),
        (lambda: features().write_bytes(features().read_bytes()[:-9]), [".npy: is truncated: expected"]),
        (lambda: (DATA / "mapping.txt").unlink(), ["mapping.txt: no such file."]),
    ],
    ids=["absent-video", "unknown-label", "length-mismatch", "truncated", "no-mapping"],
)
def test_a_faulty_data_set(run: Run, damage: Callable[[], object], parts: list[str]) -> None:
    damage()
    message = refusal(run(*TRAIN, "--output-dir", "out"))
    for part in parts:
        assert part in message
    assert not Path("out").exists()


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
        ('{"schema": "g2l.structure/1", "stages": [[1, 0]]}', ["s.json: `stages[0][1]`", "0"]),
    ],
)
def test_a_faulty_structure(run: Run, text: str, parts: list[str]) -> None:
    Path("s.json").write_text(text)
    message = refusal(run("train", *SMALL, "--structure", "s.json", "--output-dir", "out"))
    for part in parts:
        assert part in message
    assert not Path("out").exists()
