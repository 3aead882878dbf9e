"""Layers over time that are more than plain products, in ONNX: strided, grouped, padded in other modes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from g2l.receptive_field import Ending, branch_layers, convert, finish
from tests.receptive_field.onnx_session import exported

SHORTEST = 25
"""Frames that the padding of the widest branch reflects, and one more."""


class Network(nn.Module):
    """Layers in a row; what each of them says is an output, so that no later one hides it."""

    def __init__(self) -> None:
        super().__init__()
        self.reflect = nn.Conv1d(3, 4, 5, padding=8, dilation=4, padding_mode="reflect")
        self.circular = nn.Conv1d(4, 4, 3, padding=3, dilation=3, groups=4, padding_mode="circular")
        self.replicate = nn.Conv1d(4, 6, 3, padding=2, dilation=2, padding_mode="replicate")
        self.depthwise = nn.Conv1d(6, 6, 3, padding=4, dilation=4, groups=6)
        self.strided = nn.Conv1d(6, 4, 3, padding=4, dilation=4, stride=2)
        self.both = nn.Conv1d(4, 4, 3, dilation=2, stride=2, groups=2)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs = []
        for layer in self.children():
            x = layer(x)
            outputs.append(x)
        return tuple(outputs)


def ended(ending: Ending) -> Network:
    """Return a network whose branches had unequal weights; those of `multiple` have."""
    torch.manual_seed(0)
    network = Network().eval()
    assert len(convert(network, max_rate=12, expansion_rate=0.5).converted) == 6
    if ending is Ending.MULTIPLE:
        finish(network, ending)
    for layer in branch_layers(network).values():
        layer.alpha.data.copy_(torch.tensor([0.1, -0.2, 0.6]))
    if ending is not Ending.MULTIPLE:
        finish(network, ending)
    return network


@pytest.mark.parametrize("ending", list(Ending))
def test_onnxruntime_computes_what_torch_does_at_any_length(ending):
    network = ended(ending)
    run = exported(network, torch.randn(2, 3, 40))
    for batch, frames in ((2, 40), (1, SHORTEST), (3, 301)):
        x = torch.randn(batch, 3, frames)
        with torch.no_grad():
            expected = network(x)
        for ours, theirs in zip(run(x), expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)
