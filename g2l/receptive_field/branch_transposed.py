"""Transposed convolutions at several dilation rates at once, with one shared weight."""

from __future__ import annotations

from torch import Tensor, nn

from g2l.receptive_field.branch_layer import BranchLayer
from g2l.receptive_field.convolve import convolve_transposed, output_padding


class _BranchConvTranspose(BranchLayer):
    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return Σ_i conv_transpose(input, w_i·W); arguments and shapes are those of torch's module."""
        pads = self.branch_pads()
        extra = output_padding(self, input, output_size, pads[0], self.branches.rates[0])
        shares = self.mixing_weights().unbind()
        outputs = [
            convolve_transposed(
                input,
                share * self.weight,
                None if number else self.bias,
                rates=rates,
                pads=around,
                extra=extra,
                stride=self.stride,
                groups=self.groups,
            )
            for number, (share, rates, around) in enumerate(
                zip(shares, self.branches.rates, pads, strict=True)
            )
        ]
        return sum(outputs[1:], start=outputs[0])


class BranchConvTranspose1d(_BranchConvTranspose, nn.ConvTranspose1d):
    """`nn.ConvTranspose1d` with branches."""


class BranchConvTranspose2d(_BranchConvTranspose, nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` with branches."""


class BranchConvTranspose3d(_BranchConvTranspose, nn.ConvTranspose3d):
    """`nn.ConvTranspose3d` with branches."""
