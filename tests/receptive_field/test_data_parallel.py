"""A search in several processes at once finds what one process finds."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from g2l.receptive_field import Ending, SearchSchedule, convert, finish, parameter_groups, structure

RANKS = 2
UPDATES = 3


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 4, 3, padding=8, dilation=8), nn.Tanh(), nn.Conv1d(4, 1, 3, padding=1))
    convert(model.double(), max_rate=32, expansion_rate=0.5)
    return model


def batch() -> tuple[Tensor, Tensor]:
    """Return slow features and, as targets, what was seen 13 frames before."""
    generator = torch.Generator().manual_seed(1)
    slow = torch.randn(4, 2, 12, generator=generator, dtype=torch.float64).repeat_interleave(8, dim=2)
    return slow[..., 13:], slow[:, :1, :-13]


def search(model: nn.Module, x: Tensor, target: Tensor) -> list[dict[str, tuple[int, ...]]]:
    """Search with three updates and return the rates after each."""
    # SGD, in which equal gradients give equal bits more surely than in Adam's division of small numbers.
    optimizer = torch.optim.SGD(parameter_groups(model, learning_rate=0.1, branch_learning_rate=0.05))
    schedule = SearchSchedule(model, optimizer, interval=10, updates=UPDATES, ending=Ending.MULTIPLE)
    for _ in range(10 * UPDATES):
        optimizer.zero_grad()
        (model(x) - target).square().mean().backward()
        optimizer.step()
        schedule.step()
    return [update.rates for update in schedule.history]


def one_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=60),
    )
    x, target = (part[rank::RANKS] for part in batch())
    model = network()
    wrapped = DistributedDataParallel(model)
    found = search(wrapped, x, target)
    assert structure(wrapped) == structure(model)
    finish(wrapped, Ending.SINGLE)
    again = DistributedDataParallel(model)
    again(x).square().mean().backward()
    gradients = [value.grad for value in model.parameters()]
    torch.save({"rates": found, "weights": model.state_dict(), "gradients": gradients}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_find_the_rates_of_one(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", os.environ.get("GLOO_SOCKET_IFNAME", "lo"))
    torch.multiprocessing.spawn(one_rank, (str(tmp_path),), nprocs=RANKS)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(RANKS))
    assert first["rates"] == second["rates"]
    assert all(torch.equal(first["weights"][name], value) for name, value in second["weights"].items())
    for one, other in zip(first["gradients"], second["gradients"], strict=True):
        assert torch.equal(one, other)

    model = network()
    alone = search(model, *batch())
    assert first["rates"] == alone
    assert len({tuple(rates.items()) for rates in alone}) > 1
    finish(model, Ending.SINGLE)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(first["weights"][name], value)
