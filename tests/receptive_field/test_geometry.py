from __future__ import annotations

import torch

from g2l.receptive_field.geometry import CausalConv1d


def test_taps_are_at_the_present_and_earlier_frames():
    conv = CausalConv1d(1, 1, 3, dilation=2)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[[100.0, 10.0, 1.0]]]))
        conv.bias.zero_()
    impulse = torch.tensor([[[0.0, 1, 0, 0, 0, 0, 0]]])
    assert conv(impulse).tolist() == [[[0, 1, 0, 10, 0, 100, 0]]]


def test_the_rate_may_change_and_exceed_the_length():
    conv = CausalConv1d(2, 3, 3)
    conv.dilation = (50,)
    x = torch.randn(1, 2, 4)
    expected = torch.nn.functional.conv1d(x, conv.weight[..., 2:], conv.bias)
    torch.testing.assert_close(conv(x), expected)
