"""A branch convolution spelt out: one padded tap product per output frame, branch and tap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def naive_branch_conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    alpha: Tensor,
    rates: Sequence[int],
    *,
    stride: int = 1,
    groups: int = 1,
) -> Tensor:
    """Return Σ_i w_i conv_{d_i}(x); x (B, C_in, T), weight (C_out, C_in / groups, K) -> (B, C_out, T')."""
    total = sum(value.abs() for value in alpha)
    output = 0
    for value, rate in zip(alpha, rates, strict=True):
        share = value.abs() / total if total.item() > 0 else torch.ones(()) / len(rates)
        output = output + share * naive_conv(x, weight, bias, rate, stride=stride, groups=groups)
    return output


def naive_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, rate: int, *, stride: int = 1, groups: int = 1
) -> Tensor:
    """Return the dilated convolution that sees zeros outside [0, T) and keeps the length."""
    frames, taps = x.shape[-1], weight.shape[-1]
    inputs = x.chunk(groups, dim=1)
    weights = weight.chunk(groups, dim=0)
    columns = []
    for centre in range(0, frames, stride):
        column = []
        for some_inputs, some_weights in zip(inputs, weights, strict=True):
            value = torch.zeros(x.shape[0], some_weights.shape[0], dtype=x.dtype)
            for tap in range(taps):
                frame = centre + (tap - taps // 2) * rate
                if 0 <= frame < frames:
                    value = value + some_inputs[:, :, frame] @ some_weights[:, :, tap].T
            column.append(value)
        joined = torch.cat(column, dim=1)
        columns.append(joined if bias is None else joined + bias)
    return torch.stack(columns, dim=-1)
