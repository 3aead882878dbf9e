"""The tutorial for models of one's own: its Python is run as it stands, block after block."""

from __future__ import annotations

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[1] / "docs" / "your-own-model.md"
BLOCK = re.compile(r"(<!-- not run: [^>]+ -->\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(bool(mark), code) for mark, code in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


def test_the_blocks_run_in_their_order(capsys):
    shown: dict[str, object] = {"__name__": "tutorial"}
    ran = 0
    for skipped, code in BLOCKS:
        if not skipped:
            exec(code, shown)
            ran += 1
    assert ran == len(BLOCKS) - 1
    assert "'layers.0': (" in capsys.readouterr().out
    assert shown["accuracy"] > 0.9


def test_the_network_guesses_without_the_search():
    shown: dict[str, object] = {"__name__": "tutorial"}
    exec(BLOCKS[0][1], shown)
    model, features, labels = shown["model"], shown["features"], shown["labels"]
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(160):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(features), labels).backward()
        optimizer.step()
    unseen, truth = shown["sequences"](32)
    assert (model(unseen).argmax(dim=1)[:, 24:] == truth[:, 24:]).float().mean() < 0.6
