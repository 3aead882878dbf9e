"""The one operation behind a branch convolution: weighted, shifted copies of its input, tap by tap.

Because all branches share one weight W, Σ_i w_i conv_{d_i}(x) = Σ_taps W_k · z_k with
z_k = Σ_i w_i shift(x, k·d_i): mix the inputs first, then one ordinary product, whatever the
number of branches. Written as one autograd function, because as separate operations the shifts would keep and
zero-pad a copy of the input per branch and tap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def mix_taps(x: Tensor, alpha: Tensor, rates: tuple[int, ...], kernel_size: int, stride: int) -> Tensor:
    """Return the input of every tap, mixed over the branches with weights |α_i| / Σ|α_j|.

    Args:
        x: Input, shape (…, T).
        alpha: Raw branch weights, shape (len(rates),). All zero means equal weights.
        rates: Dilation rate of each branch, >= 1; may exceed T.
        kernel_size: Odd number K of taps; tap k reads at distance (k − K // 2)·rate.
        stride: Distance of neighbouring output positions.

    Returns:
        Shape (…, K, ceil(T / stride)); positions outside [0, T) count as zeros.
    """
    mixed: Tensor = _MixTaps.apply(x, alpha, rates, kernel_size, stride)  # type: ignore[no-untyped-call]
    return mixed


class _MixTaps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, alpha: Tensor, rates: tuple[int, ...], kernel_size: int, stride: int
    ) -> Tensor:
        magnitudes = alpha.abs()
        total = magnitudes.sum()
        weights = torch.where(total > 0, magnitudes / total, 1 / len(rates))
        ctx.save_for_backward(x, alpha, weights, total)
        ctx.rates, ctx.kernel_size, ctx.stride = rates, kernel_size, stride
        mixed = x.new_zeros(*x.shape[:-1], kernel_size, -(-x.shape[-1] // stride))  # (…, T) -> (…, K, T')
        taps, shares = mixed.unbind(-2), weights.unbind()
        taps[kernel_size // 2].copy_(x[..., ::stride])
        for tap, branch, source, target in _shifts(rates, kernel_size, stride, x.shape[-1]):
            taps[tap][..., target].addcmul_(x[..., source], shares[branch])
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, alpha, weights, total = ctx.saved_tensors
        taps = gradient.unbind(-2)
        # What each branch alone would hand to the input; both gradients below are sums over it. The middle
        # tap reads the same for every branch: to the input it adds once, and in that of α it cancels.
        by_branch = x.new_zeros(len(ctx.rates), *x.shape)  # (branches, …, T)
        branches = by_branch.unbind()
        for tap, branch, source, target in _shifts(ctx.rates, ctx.kernel_size, ctx.stride, x.shape[-1]):
            branches[branch][..., source].add_(taps[tap][..., target])
        flat = by_branch.flatten(1)
        input_gradient = torch.mv(flat.T, weights.to(x.dtype)).view(x.shape)
        input_gradient[..., :: ctx.stride] += taps[ctx.kernel_size // 2]
        weight_gradient = torch.mv(flat, x.flatten()).to(weights.dtype)
        centred = weight_gradient - torch.dot(weights, weight_gradient)
        alpha_gradient = torch.where(total > 0, alpha.sign() * centred / total, 0.0)
        return input_gradient, alpha_gradient, None, None, None


def _shifts(
    rates: tuple[int, ...], kernel_size: int, stride: int, frames: int
) -> Iterator[tuple[int, int, slice, slice]]:
    """Yield (tap, branch, input slice, output slice) of each shift that meets the input; no middle tap."""
    for tap in range(kernel_size):
        for branch, rate in enumerate(rates):
            shift = (tap - kernel_size // 2) * rate
            first = max(0, -(shift // stride))  # first output t with t·stride + shift >= 0
            last = min((frames - 1 - shift) // stride, (frames - 1) // stride)
            if shift and first <= last:
                source = slice(first * stride + shift, last * stride + shift + 1, stride)
                yield tap, branch, source, slice(first, last + 1)
