from __future__ import annotations

import pytest
import torch
from torch import nn

from g2l.kernels.pointwise import PointwiseConv1d, side_by_side
from g2l.models.convolutions import convolve, dilated_convolution


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("frames", [1, 17])
@pytest.mark.parametrize("by_frame", [False, True])
def test_computes_what_conv1d_computes(batch, frames, by_frame):
    ours = PointwiseConv1d(6, 4, by_frame=by_frame).double()
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


def test_lies_in_memory_as_asked_for():
    x = torch.randn(2, 6, 9)
    assert PointwiseConv1d(6, 4)(x).is_contiguous()
    assert PointwiseConv1d(6, 4, by_frame=True)(x).mT.is_contiguous()


@pytest.mark.parametrize("causal", [False, True])
def test_a_dilated_convolution_by_products_is_the_module(causal):
    conv = dilated_convolution(4, 3, causal=causal).double()
    maps = torch.randn(2, 11, 4, dtype=torch.float64).mT
    found = convolve(conv, maps)
    torch.testing.assert_close(found, conv(maps))
    assert found.mT.is_contiguous()
    conv.register_forward_hook(lambda module, inputs, output: output + 1)
    torch.testing.assert_close(convolve(conv, maps), found + 1)


def test_channels_side_by_side():
    first, second = torch.randn(2, 9, 3).mT, torch.randn(2, 9, 5).mT
    joined = side_by_side(first, second)
    assert torch.equal(joined, torch.cat([first, second], dim=1))
    assert joined.mT.is_contiguous()
    assert torch.equal(side_by_side(first.contiguous(), second.contiguous()), joined)
    assert side_by_side(first.contiguous(), second.contiguous()).is_contiguous()
