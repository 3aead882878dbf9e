"""Every code block of the documents is run, or says why it is not; trainings are shortened here."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, run_bash, run_page
from tests.docs.shortened import install, shortened

pytestmark = pytest.mark.timeout(600)

DOCS = ROOT / "docs"
ELSEWHERE = {
    "tutorial.md": "tests/docs/test_tutorial.py",
    "streaming-and-serving.md": "tests/test_streaming_and_serving.py",
    "your-own-data.md": "tests/test_your_own_data.py",
    "your-own-model.md": "tests/test_your_own_model.py",
}
"""Pages that another test runs."""

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
ACCEPTABLE = ("needs a GPU", "needs a download", "tests/", ".ci/run")
"""What an excuse must name: what the tests cannot have, or who runs the block instead."""
RUN_HERE = [
    page
    for page in PAGES
    if page is not README
    and page.name not in ELSEWHERE
    and any(block.excuse is None for block in blocks(page))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder in which the reader has the project, a small data set, a structure and a model."""
    path = tmp_path_factory.mktemp("reader")
    for name in ("MLproject", "conda.yaml", "g2l", "cli"):
        (path / name).symlink_to(ROOT / name)
    (path / ".venv").symlink_to(sys.prefix)
    (path / "bin").mkdir()
    install(path / "bin")
    run_bash(
        "g2l data synth --dataset mine --videos 8 --frames 60\n"
        "g2l train --dataset mine --hand-designed --stages 1 --layers 2 --feature-maps 4 --epochs 1 "
        "--output-dir runs/mine-trained --quiet\n"
        "g2l export --model runs/mine-trained/seed-0/model.safetensors --output model.onnx --quiet",
        path,
    )
    (path / "structure.json").write_text(
        '{"schema": "g2l.structure/1", "backbone": "ms-tcn", "stages": [[1, 2]], "provenance": {}}'
    )
    return path


@pytest.fixture(scope="module")
def ran_of_readme(folder: Path) -> int:
    """Return how many blocks of the README ran; the pages of the site begin where it ends."""
    return len(run_page(README, folder))


def test_the_blocks_of_the_readme_run_in_their_order(ran_of_readme: int, folder: Path):
    assert ran_of_readme == 1
    assert json.loads((folder / "runs" / "mine" / "predictions" / "metrics.json").read_text())["accuracy"] > 0
    assert len(list((folder / "runs" / "mine" / "train-hand-designed").glob("seed-*/model.safetensors"))) == 3
    assert len(list((folder / "labels").glob("*.txt"))) == 8


@pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run_in_their_order(page: Path, folder: Path, ran_of_readme: int):
    assert ran_of_readme
    shutil.rmtree(folder / "predictions", ignore_errors=True)  # another page's
    assert len(run_page(page, folder)) == sum(block.excuse is None for block in blocks(page))


def test_only_what_a_command_does_not_say_is_shortened():
    assert shortened(["train", "--layers", "6", "--epochs", "", "--seeds", "3"]) == [
        *("train", "--layers", "6", "--epochs", "1", "--seeds", "3"),
        *("--stages", "1", "--feature-maps", "4"),
    ]
    assert shortened(["predict", "--model", "model.onnx"]) == ["predict", "--model", "model.onnx"]
    assert shortened([]) == []


@pytest.mark.parametrize("page", ELSEWHERE)
def test_pages_that_run_elsewhere_are_named_there(page: str):
    assert page in (ROOT / ELSEWHERE[page]).read_text(encoding="utf-8")


def test_no_excuse_is_empty():
    excuses = [block.excuse for page in PAGES for block in blocks(page) if block.excuse is not None]
    assert excuses
    assert [excuse for excuse in excuses if not any(words in excuse for words in ACCEPTABLE)] == []
