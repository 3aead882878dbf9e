"""Searches beside what else people use of torch: copies, compilers, checkpointing, autocast, weight norm."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from g2l.receptive_field import (
    CausalConv1d,
    Ending,
    SearchSchedule,
    branch_layers,
    convert,
    expand,
    finish,
    parameter_groups,
    structure,
)


class Network(nn.Module):
    """Symmetric, causal, strided and depthwise convolutions over time, in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(3, 6, 3, padding=4, dilation=4)
        self.causal = CausalConv1d(6, 6, 3, dilation=2)
        self.strided = nn.Conv1d(6, 6, 5, padding=2, stride=2)
        self.depthwise = nn.Conv1d(6, 6, 3, padding=1, groups=6)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.causal, self.strided, self.depthwise):
            x = torch.tanh(layer(x))
        return x


def made() -> nn.Module:
    torch.manual_seed(0)
    return Network()


def searched(ending: Ending | None = None) -> nn.Module:
    """Return a network with unequal branch weights, or what an ending made of it."""
    network = made()
    convert(network, max_rate=16, expansion_rate=0.5)
    stir(network)
    if ending is not None:
        finish(network, ending)
    return network


def stir(network: nn.Module) -> None:
    with torch.no_grad():
        for layer in branch_layers(network).values():
            layer.alpha.copy_(torch.rand_like(layer.alpha) + 0.1)


def gradients(call, network: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the output, and the gradients of the input and of all parameters in use."""
    x = x.clone().requires_grad_()
    network.zero_grad()
    output = call(x)
    output.square().sum().backward()
    found = {name: value.grad for name, value in network.named_parameters()}
    return [output.detach(), x.grad, *(value for value in found.values() if value is not None)]


def assert_alike(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 30, generator=torch.Generator().manual_seed(1))


def test_a_compiled_network_follows_a_search_to_its_end(x):
    network = nn.Sequential(nn.Conv1d(3, 4, 3, padding=4, dilation=4), CausalConv1d(4, 4, 3, dilation=2))
    convert(network, max_rate=16, expansion_rate=0.5)
    stir(network)
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    optimizer = torch.optim.Adam(parameter_groups(compiled, learning_rate=1e-2, branch_learning_rate=0.3))
    schedule = SearchSchedule(compiled, optimizer, interval=1, updates=2)
    for rate in (4, 7):
        expand(compiled, dict.fromkeys(branch_layers(compiled), (rate,)))
        stir(network)
        assert_alike(gradients(compiled, network, x), gradients(network, network, x))
        optimizer.step()
        schedule.step()
    assert schedule.finished
    assert structure(compiled) == structure(network)
    assert not branch_layers(network)
    assert_alike(gradients(compiled, network, x), gradients(network, network, x))


@pytest.mark.parametrize("ending", [None, Ending.MERGE])
def test_autocast_is_close_and_trains_the_branches(ending, x):
    network = searched(ending)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(x)
    output.float().square().sum().backward()
    with torch.no_grad():
        torch.testing.assert_close(output.float(), network(x), rtol=0.1, atol=0.05)
    for layer in branch_layers(network).values():
        assert layer.alpha.grad.dtype == torch.float32
        assert layer.alpha.grad.abs().sum() > 0


@pytest.mark.parametrize("ending", Ending)
def test_a_copy_of_a_parametrized_network_may_end(ending, x):
    """torch takes a parametrization off the class, which copies share."""
    network = made()
    weight_norm(network.first)
    weight_norm(network.causal)
    convert(network, max_rate=16)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        output = network(x)
        finish(twin, ending)
        torch.testing.assert_close(network(x), output)
        finish(network, ending)
        torch.testing.assert_close(network(x), twin(x))


def test_a_state_dict_carries_a_search_through_a_file(x):
    network = searched()
    expand(network, dict.fromkeys(branch_layers(network), (7,)))
    stir(network)
    fresh = made()
    convert(fresh, max_rate=16, expansion_rate=0.5)
    fresh.load_state_dict(load(save(network.state_dict())))
    assert structure(fresh) == structure(network)
    assert_alike(gradients(fresh, fresh, x), gradients(network, network, x))
