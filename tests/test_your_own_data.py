"""The page on data of one's own: its files are written, its commands run as they stand, in their order."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from pympi.Elan import Eaf
from scipy.io import savemat
from typer.testing import CliRunner

from cli.main import app
from tests.oracles.tiny_videos import write_encoder, write_video

PAGE = Path(__file__).parents[1] / "docs" / "your-own-data.md"
BLOCK = re.compile(r"(?:<!-- (not run|file): ([^>]+?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
VIDEOS = [f"P0{person}_{drink}" for person in (1, 2, 3) for drink in ("tea", "coffee")]
FRAMES = 21
"""Features of a video of 1.4 s at 15 per second."""


def make_sources(root: Path) -> None:
    """Write what the page says a reader has: videos, an encoder, and labels in other programs' files."""
    for folder in ("videos", "annotations", "labels", "matlab"):
        (root / folder).mkdir()
    write_encoder(root / "encoder.onnx")
    for name in VIDEOS:
        write_video(root / "videos" / f"{name}.mkv", 42)
        document = Eaf()
        for tier in ("actions", "notes"):
            document.add_tier(tier)
            document.add_annotation(tier, 200, 1000, "stir")
        document.to_file(root / "annotations" / f"{name}.eaf")
        labels = ["stir"] * 10 + ["pour water"] * 11
        (root / "labels" / f"{name}.txt").write_text("\n".join(labels))
        more = int(name == VIDEOS[-1])  # a video of another length tells the axes apart
        numbers = np.repeat([1, 0], [10, 11 + more])
        savemat(root / "matlab" / f"{name}.mat", {"X": np.eye(FRAMES + more, 5), "Y": numbers})


def labels_of(dataset: str, video: str) -> list[str]:
    return Path("data", dataset, "groundTruth", f"{video}.txt").read_text().splitlines()


def test_the_page_runs_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_sources(tmp_path)
    ran = []
    for mark, said, language, code in BLOCKS:
        if mark == "file":
            Path(said).write_text(code)
        elif mark != "not run" and language == "bash":
            for line in filter(lambda line: line.startswith("g2l "), code.splitlines()):
                told = CliRunner().invoke(app, shlex.split(line)[1:])
                assert told.exit_code == 0, (line, told.stderr)
                ran.append(line)
                if "--dry-run" in line:
                    assert not Path("data").exists()
    assert len(ran) == 7
    assert labels_of("mine", "P01_tea") == ["pour water"] * 9 + ["stir"] * 12
    assert labels_of("mine", "P01_coffee")[:4] == ["background"] * 3 + ["pour water"]
    assert labels_of("from-elan", "P02_tea") == ["background"] * 3 + ["stir"] * 12 + ["background"] * 6
    expected = ["stir"] * 10 + ["pour water"] * 11
    assert labels_of("from-lists", "P03_tea") == labels_of("from-matlab", "P03_tea") == expected
    assert Path("data/from-matlab/mapping.txt").read_text() == "0 pour water\n1 stir\n"
    assert json.loads(Path("data/mine/features.json").read_text())["fps"] == 15


def test_people_are_on_one_side_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_sources(tmp_path)
    line = "data convert --features matlab --group-pattern ^(P\\d+) --dataset mine"
    assert CliRunner().invoke(app, line.split()).exit_code == 0
    train, test = (
        Path(f"data/mine/splits/{side}.split1.bundle").read_text().split() for side in ("train", "test")
    )
    assert {name[:3] for name in train}.isdisjoint(name[:3] for name in test)
    assert sorted(train + test) == sorted(f"{name}.txt" for name in VIDEOS)


def test_blocks_that_are_not_run_say_why() -> None:
    assert [said for mark, said, _, _ in BLOCKS if mark == "not run"] == [
        "needs a download of packages",
        "needs a download of weights, and torchvision",
        "needs a download of 30 GB",
    ]
