"""The 1x1 convolution as the matrix product that it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PointwiseConv1d(nn.Conv1d):
    """`nn.Conv1d(in_channels, out_channels, 1)`, computed on a CPU without copying its input.

    torch rearranges the input of a convolution first. With many channels and frames (2048 x 6000, two
    threads) that takes longer than the product; for few channels it makes no difference.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, in_channels, T) to (B, out_channels, T)."""
        # An exported graph keeps the convolution, which every runtime has its own fast way for.
        if self.bias is None or input.device.type != "cpu" or torch.compiler.is_exporting():
            return super().forward(input)
        batch = len(input)
        matrix = self.weight[..., 0].expand(batch, -1, -1)  # (O, I, 1) -> (B, O, I)
        bias = self.bias.unsqueeze(1).expand(batch, -1, 1)  # (O,) -> (B, O, 1)
        return torch.baddbmm(bias, matrix, input)
