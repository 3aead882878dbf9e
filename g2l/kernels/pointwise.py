"""The 1x1 convolution as a matrix product on a CPU (benchmark row: `training step`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from g2l.kernels.taps import by_products


class PointwiseConv1d(nn.Conv1d):
    """`nn.Conv1d(in_channels, out_channels, 1)`, computed on a CPU without copying its input.

    torch rearranges the input of a convolution first; from many channels (2048 x 6000, two threads) that
    takes longer than the product. With `by_frame`, the output lies frame by frame in memory, as the tap
    products want it. From many channels (2048) that is quicker too, by a quarter; to few it is slower.
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


def side_by_side(first: Tensor, second: Tensor) -> Tensor:
    """Return the channels of (B, F, T) and (B, G, T) as (B, F + G, T), frame by frame if the first is."""
    if first.stride(1) > 1:
        return torch.cat([first, second], dim=1)
    return torch.cat([first.transpose(1, 2), second.transpose(1, 2)], dim=2).transpose(1, 2)
