"""The tutorial for models of one's own: its Python is run as it stands, block after block."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from tests.docs.pages import blocks, run_bash
from tests.docs.shortened import install

PAGE = Path(__file__).parents[1] / "docs" / "your-own-model.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
(PROCESSES,) = [code for code in BLOCKS if "DistributedDataParallel" in code]


def test_the_blocks_run_in_their_order(capsys):
    shown: dict[str, object] = {"__name__": "tutorial"}
    for code in BLOCKS:
        if code != PROCESSES:
            exec(code, shown)
    assert "'layers.0': (" in capsys.readouterr().out
    assert shown["accuracy"] > 0.9


def test_the_network_guesses_without_the_search():
    shown: dict[str, object] = {"__name__": "tutorial"}
    exec(BLOCKS[0], shown)
    model, features, labels = shown["model"], shown["features"], shown["labels"]
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(160):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(features), labels).backward()
        optimizer.step()
    unseen, truth = shown["sequences"](32)
    assert (model(unseen).argmax(dim=1)[:, 24:] == truth[:, 24:]).float().mean() < 0.6


def test_the_block_for_several_processes_runs_in_each_of_them(tmp_path):
    """In one process here; tests/receptive_field has two that find the rates of one."""
    shown: dict[str, object] = {"__name__": "tutorial"}
    exec(BLOCKS[0], shown)
    exec("from g2l.receptive_field import SearchSchedule, convert, parameter_groups", shown)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    try:
        exec(PROCESSES, shown)
        assert shown["wrapped"](shown["features"]).shape == (32, 2, 376)
    finally:
        torch.distributed.destroy_process_group()


NETWORK = """
import torch

class MyNetwork(torch.nn.Module):
    def __init__(self, stages, feature_dim, num_classes, feature_maps, dropout):
        super().__init__()
        self.first = torch.nn.Conv1d(feature_dim, feature_maps, 1)
        rates = stages[0]
        self.layers = torch.nn.ModuleList(
            torch.nn.Conv1d(feature_maps, feature_maps, 3, padding=rate, dilation=rate) for rate in rates
        )
        self.last = torch.nn.Conv1d(feature_maps, num_classes, 1)

    def forward(self, features, frame_mask=None):
        maps = self.first(features)
        for layer in self.layers:
            maps = maps + layer(maps if frame_mask is None else maps * frame_mask).relu()
        return self.last(maps)[None]

"""


def test_the_command_line_trains_a_model_of_ones_own(tmp_path):
    (tmp_path / "bin").mkdir()
    install(tmp_path / "bin")
    (contract,) = [code for code in BLOCKS if code.startswith("def build")]
    (tmp_path / "my_networks.py").write_text(NETWORK + contract)
    (command,) = [block for block in blocks(PAGE) if block.language == "bash"]
    run_bash("g2l data synth --dataset mine --videos 6 --frames 40", tmp_path)
    run_bash(f"{command.code.strip()} --output-dir trained", tmp_path, PYTHONPATH=str(tmp_path))
    assert (tmp_path / "trained" / "seed-0" / "model.safetensors").stat().st_size > 0
