"""The convolutions that networks are made of: the 1x1 one as a matrix product, and the dilated ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from g2l.receptive_field.causal import CausalConv1d
from g2l.structure import KERNEL_SIZE


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
