from __future__ import annotations

import pytest
import torch
from torch import nn

from g2l.models.convolutions import PointwiseConv1d


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("frames", [1, 17])
def test_computes_what_conv1d_computes(batch, frames):
    ours = PointwiseConv1d(6, 4).double()
    plain = nn.Conv1d(6, 4, 1).double()
    plain.load_state_dict(ours.state_dict())
    mine = torch.randn(batch, 6, frames, dtype=torch.float64, requires_grad=True)
    other = mine.detach().clone().requires_grad_()
    torch.testing.assert_close(ours(mine), plain(other))
    ours(mine).square().sum().backward()
    plain(other).square().sum().backward()
    torch.testing.assert_close(mine.grad, other.grad)
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)
    torch.testing.assert_close(ours.bias.grad, plain.bias.grad)


def test_has_the_parameters_of_conv1d():
    assert {name: value.shape for name, value in PointwiseConv1d(6, 4).state_dict().items()} == {
        "weight": (4, 6, 1),
        "bias": (4,),
    }
