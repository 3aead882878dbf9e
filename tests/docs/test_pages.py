"""Every code block of the documents is run, or says why it is not; blocks that train little are run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, run_bash, run_page

DOCS = ROOT / "docs"
ELSEWHERE = {
    "tutorial.md": "tests/docs/test_tutorial.py",
    "streaming-and-serving.md": "tests/test_streaming_and_serving.py",
    "your-own-data.md": "tests/test_your_own_data.py",
    "your-own-model.md": "tests/test_your_own_model.py",
}
"""Pages that another test runs."""

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
RUN_HERE = [
    page
    for page in PAGES
    if page.name not in ELSEWHERE and any(block.excuse is None for block in blocks(page))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder in which the reader has a small data set, a structure and a model."""
    path = tmp_path_factory.mktemp("reader")
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


@pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run_in_their_order(page: Path, folder: Path):
    wanted = [block for block in blocks(page) if block.excuse is None]
    assert run_page(page, folder) == len(wanted)


@pytest.mark.parametrize("page", ELSEWHERE)
def test_pages_that_run_elsewhere_are_named_there(page: str):
    assert page in (ROOT / ELSEWHERE[page]).read_text(encoding="utf-8")


def test_no_excuse_is_empty():
    excuses = [block.excuse for page in PAGES for block in blocks(page) if block.excuse is not None]
    assert excuses
    assert all(len(excuse.split()) >= 3 for excuse in excuses)
