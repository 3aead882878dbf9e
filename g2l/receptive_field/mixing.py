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
        total = alpha.abs().sum()
        weights = torch.where(total > 0, alpha.abs() / total, 1 / len(rates))
        ctx.save_for_backward(x, alpha, weights)
        ctx.rates, ctx.kernel_size, ctx.stride = rates, kernel_size, stride
        mixed = x.new_zeros(*x.shape[:-1], kernel_size, -(-x.shape[-1] // stride))  # (…, T) -> (…, K, T')
        mixed[..., kernel_size // 2, :] = x[..., ::stride]
        shares = weights.unbind()
        for tap, branch, source, target in _shifts(rates, kernel_size, stride, x.shape[-1]):
            mixed[..., tap, target].addcmul_(x[..., source], shares[branch])
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, alpha, weights = ctx.saved_tensors
        input_gradient = torch.zeros_like(x)
        input_gradient[..., :: ctx.stride] = gradient[..., ctx.kernel_size // 2, :]
        # The middle tap reads the same for every branch, so it cancels in the gradient of α below.
        shares, products = weights.unbind(), list(torch.zeros_like(weights).unbind())
        for tap, branch, source, target in _shifts(ctx.rates, ctx.kernel_size, ctx.stride, x.shape[-1]):
            part = gradient[..., tap, target]
            input_gradient[..., source].addcmul_(part, shares[branch])
            products[branch] = products[branch] + (part * x[..., source]).sum(dtype=weights.dtype)
        weight_gradient, total = torch.stack(products), alpha.abs().sum()
        centred = weight_gradient - (weights * weight_gradient).sum()
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
