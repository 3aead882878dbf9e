"""The convolutions that networks are made of: the 1x1 one as a matrix product, and the dilated ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from g2l.receptive_field.causal import CausalConv1d
from g2l.receptive_field.operands import operands
from g2l.receptive_field.products import by_products, convolve_by_taps
from g2l.structure import KERNEL_SIZE


class PointwiseConv1d(nn.Conv1d):
    """`nn.Conv1d(in_channels, out_channels, 1)`, computed on a CPU without copying its input.

    torch rearranges the input of a convolution first. With many channels and frames (2048 x 6000, two
    threads) that takes longer than the product.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        by_frame: Whether the output lies frame by frame in memory, as the products of dilated convolutions
            want it. From many channels (2048) that is quicker too, by a quarter; to few it is slower.
    """

    def __init__(self, in_channels: int, out_channels: int, *, by_frame: bool = False) -> None:
        super().__init__(in_channels, out_channels, 1)
        self.by_frame = by_frame

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, in_channels, T) to (B, out_channels, T)."""
        if self.bias is None or not by_products(input):
            return super().forward(input)
        batch = len(input)
        matrix = self.weight[..., 0].expand(batch, -1, -1)  # (O, I, 1) -> (B, O, I)
        if self.by_frame:
            bias = self.bias.expand(batch, 1, -1)  # (O,) -> (B, 1, O)
            rows = torch.baddbmm(bias, input.transpose(1, 2), matrix.transpose(1, 2))
            return rows.transpose(1, 2)  # (B, T, O) -> (B, O, T)
        return torch.baddbmm(self.bias.unsqueeze(1).expand(batch, -1, 1), matrix, input)


def dilated_convolution(channels: int, rate: int, *, causal: bool) -> nn.Conv1d:
    """Return the dilated convolution of a layer, (B, channels, T) to (B, channels, T).

    Args:
        channels: Feature maps F.
        rate: Frames between neighbouring taps.
        causal: Whether it reads the present and earlier frames only, instead of as many on either side.
    """
    if causal:
        return CausalConv1d(channels, channels, KERNEL_SIZE, dilation=rate)
    padding = rate * (KERNEL_SIZE // 2)
    return nn.Conv1d(channels, channels, KERNEL_SIZE, padding=padding, dilation=rate)


def convolve(conv: nn.Module, maps: Tensor) -> Tensor:
    """Return conv(maps), (B, F, T) to (B, F, T), as matrix products where they give the same."""
    found = operands(conv, maps)
    if found is None:
        result: Tensor = conv(maps)
        return result
    return convolve_by_taps(maps, *found)


def side_by_side(first: Tensor, second: Tensor) -> Tensor:
    """Return the channels of (B, F, T) and (B, G, T) as (B, F + G, T), frame by frame if the first is."""
    if first.stride(1) > 1:
        return torch.cat([first, second], dim=1)
    return torch.cat([first.transpose(1, 2), second.transpose(1, 2)], dim=2).transpose(1, 2)
