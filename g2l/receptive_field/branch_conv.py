"""Convolutions at several dilation rates at once, with one shared weight (G2L, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.receptive_field.branch_layer import BranchLayer
from g2l.receptive_field.convolve import convolve, pad_outside
from g2l.receptive_field.geometry import Pads
from g2l.receptive_field.mixing import Reading, mix_taps
from g2l.receptive_field.products import by_products, convolve_by_taps, tap_plan

SHORT = 1024
"""Frames below which, on a CPU, a matrix product is quicker than torch's convolution (measured: 300 frames by
1.5 to 3 times, 1,100 frames no more)."""


class _BranchConv(BranchLayer):
    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x, pads = pad_outside(input, self.branch_pads(), self.padding_mode)
        # A compiler fuses by itself, and what is exported should consist of ordinary convolutions.
        if len(self.kernel_size) == 1 and not torch.compiler.is_compiling():
            return self._mix_inputs(x, weight, bias, pads[0])
        return self._mix_weights(x, weight, bias, pads)

    def _mix_inputs(self, x: Tensor, weight: Tensor, bias: Tensor | None, pads: Pads) -> Tensor:
        """Return the product of `weight` (C_out, C_in / groups, K) and the mixed taps of x (…, C_in, T).

        Scaling the weights would keep a third of the memory, but mostly takes 1.4 to 2 times as long
        (measured in strided, grouped and circular layers, with 64 channels of 300 to 6,000 frames).
        """
        (size,), (anchor,), (stride,) = self.kernel_size, self.geometry.anchors, self.stride
        rates = tuple(rate for (rate,) in self.branches.rates)
        alpha, frames = self.alpha[: len(rates)], x.shape[-1]
        ((before, after),) = pads
        reading = Reading(
            rates=rates,
            taps=size,
            anchor=anchor,
            offset=anchor * rates[0] - before,
            stride=stride,
            outputs=(frames + before + after - (size - 1) * rates[0] - 1) // stride + 1,
        )
        if x.dim() == 3 and self.groups == 1 and reading.keeps_frames(frames) and by_products(x):
            return convolve_by_taps(x, weight, bias, alpha, tap_plan(rates, size, anchor, frames))
        mixed = mix_taps(x, alpha, reading)
        # (…, C_in, K, T') -> (…, C_in·K, T'); the weight (C_out, C_in / groups, K) flattens alike.
        return _product(mixed.flatten(-3, -2), weight.flatten(1), bias, self.groups)

    def _mix_weights(self, x: Tensor, weight: Tensor, bias: Tensor | None, pads: list[Pads]) -> Tensor:
        """Return Σ_i conv(x, w_i·W) by as many convolutions.

        Scaled weights instead of scaled outputs, because then nothing but `x` is kept for the backward pass.
        With 3 x 3 taps, mixing inputs takes 0.6 to 0.95 of this time on a CPU, but nine times the memory, and
        in depthwise convolutions nearly twice the time (measured with 32 to 128 channels of 56 x 56).
        """
        shares = self.mixing_weights().unbind()
        outputs = [
            convolve(
                x,
                share * weight,
                None if number else bias,
                rates=rates,
                pads=around,
                stride=self.stride,
                groups=self.groups,
            )
            for number, (share, rates, around) in enumerate(
                zip(shares, self.branches.rates, pads, strict=True)
            )
        ]
        return sum(outputs[1:], start=outputs[0])


def _product(mixed: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    """Return the 1x1 convolution of `mixed` (…, C_in·K, T') by `weight` (C_out, C_in·K / groups)."""
    short = mixed.dim() == 3 and mixed.shape[-1] < SHORT and mixed.device.type == "cpu"
    if not short or groups > 1 or bias is None:
        return functional.conv1d(mixed, weight.unsqueeze(-1), bias, groups=groups)
    matrix = weight.expand(len(mixed), -1, -1)  # (O, I) -> (B, O, I)
    return torch.baddbmm(bias.unsqueeze(1).expand(len(mixed), -1, 1), matrix, mixed)


class BranchConv1d(_BranchConv, nn.Conv1d):
    """`nn.Conv1d` with branches."""


class BranchConv2d(_BranchConv, nn.Conv2d):
    """`nn.Conv2d` with branches."""


class BranchConv3d(_BranchConv, nn.Conv3d):
    """`nn.Conv3d` with branches."""
