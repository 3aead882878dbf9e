"""Networks of other people, as they come from PyPI: searched, ended in every way, exported."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from g2l.receptive_field import Ending, SearchSchedule, convert, finish, parameter_groups, structure
from tests.receptive_field.onnx_session import exported


class FirstOutput(nn.Module):
    """Takes the tensor out of what a network of `transformers` returns."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).last_hidden_state


def causal_tcn() -> nn.Module:
    from pytorch_tcn import TCN

    return TCN(num_inputs=4, num_channels=[8, 8], kernel_size=3, causal=True, dropout=0.0)


def u_net(axes: int) -> nn.Module:
    nets = pytest.importorskip("monai.networks.nets")
    return nets.UNet(
        spatial_dims=axes,
        in_channels=1,
        out_channels=2,
        channels=(4, 8),
        strides=(2,),
        num_res_units=1,
        norm="INSTANCE",
    )


def conv_next() -> nn.Module:
    from transformers import ConvNextConfig, ConvNextModel

    config = ConvNextConfig(num_stages=2, hidden_sizes=[8, 16], depths=[1, 1], patch_size=4, image_size=32)
    return FirstOutput(ConvNextModel(config))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "pytorch-tcn, 1-D, causal, weight norm": (causal_tcn, (2, 4, 40), 4),
    "monai U-Net, 2-D, transposed": (lambda: u_net(2), (2, 1, 16, 16), 5),
    "monai U-Net, 3-D, transposed": (lambda: u_net(3), (2, 1, 8, 8, 8), 5),
    "transformers ConvNeXt, 2-D, depthwise 7x7": (conv_next, (2, 3, 64, 64), 2),
}


def made(name: str) -> tuple[nn.Module, Tensor]:
    make, shape, _ = NETWORKS[name]
    torch.manual_seed(0)
    return make(), torch.randn(shape)


def searched(name: str) -> tuple[nn.Module, Tensor]:
    """Return a network after two updates, in the middle of its search, and an input."""
    network, x = made(name)
    convert(network, max_rate=8, expansion_rate=0.5)
    optimizer = torch.optim.AdamW(
        parameter_groups(network, learning_rate=1e-2, branch_learning_rate=0.2, weight_decay=0.05)
    )
    schedule = SearchSchedule(network, optimizer, interval=3, updates=4)
    target = torch.randn_like(network(x))
    for _ in range(8):
        optimizer.zero_grad()
        (network(x) - target).square().mean().backward()
        optimizer.step()
        schedule.step()
    return network.eval(), x


@pytest.mark.parametrize("name", NETWORKS)
def test_a_search_that_ends_at_once_gives_the_network_back(name):
    network, x = made(name)
    with torch.no_grad():
        before = network.eval()(x)
        keys, classes = list(network.state_dict()), [type(module) for module in network.modules()]
        report = convert(network, max_rate=8)
        assert len(report.converted) == NETWORKS[name][2]
        assert all("is even" in reason for reason in report.skipped.values())
        finish(network)
        after = network(x)
    torch.testing.assert_close(after, before)
    assert list(network.state_dict()) == keys
    plain = [kind for kind in classes if kind.__module__.startswith("torch.nn.modules")]
    assert [type(m) for m in network.modules() if type(m).__module__.startswith("torch.nn.modules")] == plain


@pytest.mark.parametrize("name", NETWORKS)
def test_rates_move_and_every_ending_exports(name):
    network, x = searched(name)
    start, _ = made(name)
    assert structure(network) != structure(start)
    for ending in (None, *Ending):
        network, x = searched(name)
        if ending is Ending.MERGE:
            finish(network, Ending.MULTIPLE)
            with torch.no_grad():
                multiple = network(x)
        if ending is not None:
            finish(network, ending)
        with torch.no_grad():
            output = network(x)
        if ending is Ending.MERGE:
            torch.testing.assert_close(output, multiple, rtol=0, atol=1e-5)
        np.testing.assert_allclose(exported(network, x)(x)[0], output.numpy(), rtol=0, atol=1e-5)


def test_a_causal_network_stays_causal():
    name = "pytorch-tcn, 1-D, causal, weight norm"
    for ending in (None, *Ending):
        network, x = searched(name)
        if ending is not None:
            finish(network, ending)
        later = x.clone()
        later[..., 20:] += 1.0
        with torch.no_grad():
            torch.testing.assert_close(network(later)[..., :20], network(x)[..., :20], rtol=0, atol=0)
