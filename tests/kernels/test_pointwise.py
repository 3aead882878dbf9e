from __future__ import annotations

import pytest
import torch
from torch import nn

from g2l.kernels.pointwise import PointwiseConv1d, side_by_side


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("frames", [1, 17])
@pytest.mark.parametrize("by_frame", [False, True])
def test_it_computes_what_conv1d_computes_and_lies_as_asked_for(batch, frames, by_frame):
    ours = PointwiseConv1d(6, 4, by_frame=by_frame).double()
    plain = nn.Conv1d(6, 4, 1).double()
    plain.load_state_dict(ours.state_dict())
    mine = torch.randn(batch, 6, frames, dtype=torch.float64, requires_grad=True)
    other = mine.detach().clone().requires_grad_()
    found = ours(mine)
    torch.testing.assert_close(found, plain(other))
    assert (found.mT if by_frame else found).is_contiguous()
    found.square().sum().backward()
    plain(other).square().sum().backward()
    torch.testing.assert_close(mine.grad, other.grad)
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad)


def test_channels_side_by_side():
    first, second = torch.randn(2, 9, 3).mT, torch.randn(2, 9, 5).mT
    joined = side_by_side(first, second)
    assert torch.equal(joined, torch.cat([first, second], dim=1))
    assert joined.mT.is_contiguous()
    assert torch.equal(side_by_side(first.contiguous(), second.contiguous()), joined)
    assert side_by_side(first.contiguous(), second.contiguous()).is_contiguous()
