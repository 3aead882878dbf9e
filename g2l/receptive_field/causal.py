"""A convolution over time that reads no later frame."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class CausalConv1d(nn.Conv1d):
    """`nn.Conv1d` whose last tap is at the present frame; the earliest frames see zeros before the first.

    The padding is worked out from the dilation at every call, so setting `dilation` is enough to change the
    rate.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Taps K.
        dilation: Frames between neighbouring taps.

    Shape:
        (B, in_channels, T) to (B, out_channels, T).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, dilation=dilation)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        (taps,), (rate,) = self.kernel_size, self.dilation
        padded = functional.pad(input, ((taps - 1) * rate, 0))
        return functional.conv1d(padded, weight, bias, self.stride, 0, self.dilation, self.groups)
