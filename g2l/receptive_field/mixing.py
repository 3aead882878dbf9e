"""The one operation behind a branch convolution over time: weighted, shifted copies of its input, tap by tap.

Because all branches share one weight W, Σ_i w_i conv_{d_i}(x) = Σ_taps W_k · z_k with
z_k = Σ_i w_i shift(x, (k − a)·d_i): mix the inputs first, then one ordinary product, whatever the
number of branches. Written as one autograd function, because as separate operations the shifts would keep and
zero-pad a copy of the input per branch and tap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Where the taps of all branches read.

    Attributes:
        rates: Dilation rate of each branch, >= 1; may exceed the number of frames.
        taps: Kernel size K.
        anchor: The tap a that reads the same frame in every branch.
        offset: Frames from output position 0 to what the anchor reads there.
        stride: Distance of neighbouring output positions.
        outputs: Number of output positions T'.
    """

    rates: tuple[int, ...]
    taps: int
    anchor: int
    offset: int
    stride: int
    outputs: int

    def keeps_frames(self, frames: int) -> bool:
        """Return whether the anchor reads frame t for output t, of an input of that many frames."""
        return self.offset == 0 and self.stride == 1 and self.outputs == frames

    def common(self, frames: int) -> tuple[slice, slice]:
        """Return the input slice and the output slice of the anchor tap, which may be empty."""
        return self._slices(self.offset, frames) or (slice(0), slice(0))

    def shifts(self, frames: int) -> Iterator[tuple[int, int, slice, slice]]:
        """Yield (tap, branch, input slice, output slice) of what else meets an input of that many frames."""
        for tap in range(self.taps):
            for branch, rate in enumerate(self.rates):
                slices = self._slices((tap - self.anchor) * rate + self.offset, frames)
                if tap != self.anchor and slices is not None:
                    yield tap, branch, *slices

    def _slices(self, shift: int, frames: int) -> tuple[slice, slice] | None:
        first = max(0, -(shift // self.stride))  # first output t with t·stride + shift >= 0
        last = min((frames - 1 - shift) // self.stride, self.outputs - 1)
        if first > last:
            return None
        source = slice(first * self.stride + shift, last * self.stride + shift + 1, self.stride)
        return source, slice(first, last + 1)


def branch_weights(alpha: Tensor) -> Tensor:
    """Return w_i = |α_i| / Σ|α_j|, or equal weights where every α is zero; shape (branches,)."""
    magnitudes = alpha.abs()
    total = magnitudes.sum()
    # Two conditions, since the gradient of a division by zero is NaN even where its result is not chosen.
    shares = magnitudes / torch.where(total > 0, total, 1.0)
    return torch.where(total > 0, shares, 1 / len(alpha))


def mix_taps(x: Tensor, alpha: Tensor, reading: Reading) -> Tensor:
    """Return the input of every tap, mixed over the branches with weights |α_i| / Σ|α_j|.

    Args:
        x: Input, shape (…, T).
        alpha: Raw branch weights, shape (branches,). All zero means equal weights.
        reading: Where the taps read.

    Returns:
        Shape (…, K, T'); positions outside [0, T) count as zeros.
    """
    mixed: Tensor = _MixTaps.apply(x, alpha, reading)  # type: ignore[no-untyped-call]
    return mixed


class _MixTaps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor, reading: Reading) -> Tensor:
        weights = branch_weights(alpha)
        ctx.save_for_backward(x, alpha, weights)
        ctx.reading = reading
        mixed = x.new_zeros(*x.shape[:-1], reading.taps, reading.outputs)  # (…, T) -> (…, K, T')
        taps, shares = mixed.unbind(-2), weights.unbind()
        source, target = reading.common(x.shape[-1])
        taps[reading.anchor][..., target].copy_(x[..., source])
        for tap, branch, source, target in reading.shifts(x.shape[-1]):
            taps[tap][..., target].addcmul_(x[..., source], shares[branch])
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, alpha, weights = ctx.saved_tensors
        reading: Reading = ctx.reading
        taps = gradient.unbind(-2)
        # What each branch alone would hand to the input; both gradients below are sums over it. The anchor
        # tap reads the same for every branch: to the input it adds once, and in that of α it cancels.
        by_branch = x.new_zeros(len(reading.rates), *x.shape)  # (branches, …, T)
        branches = by_branch.unbind()
        for tap, branch, source, target in reading.shifts(x.shape[-1]):
            branches[branch][..., source].add_(taps[tap][..., target])
        flat = by_branch.flatten(1)
        input_gradient = torch.mv(flat.T, weights.to(x.dtype)).view(x.shape)
        source, target = reading.common(x.shape[-1])
        input_gradient[..., source] += taps[reading.anchor][..., target]
        weight_gradient = torch.mv(flat, x.flatten()).to(weights.dtype)
        centred = weight_gradient - torch.dot(weights, weight_gradient)
        total = alpha.abs().sum()
        alpha_gradient = torch.where(total > 0, alpha.sign() * centred / total, 0.0)
        return input_gradient, alpha_gradient, None
