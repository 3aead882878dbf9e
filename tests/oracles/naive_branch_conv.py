"""A branch convolution spelt out: which input each tap of each branch reads, as matrices of zeros and ones.

The rule: tap a stays where the plain convolution at its own rate has it, tap k is (k − a)·d from there, and
the output has the size it had.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def naive_branch_conv(
    x: Tensor,
    conv: dict[str, object],
    alpha: Tensor,
    branches: Sequence[Sequence[int]],
    anchors: Sequence[int],
    *,
    transposed: bool = False,
) -> Tensor:
    """Return Σ_i w_i conv_{d_i}(x), shape (B, C_out, *sizes).

    Args:
        x: (B, C_in, *sizes).
        conv: What the plain convolution has: weight, bias, stride, padding, dilation, groups, padding_mode
            and, if transposed, output_padding.
        alpha: Raw branch weights.
        branches: Rates per axis of each branch.
        anchors: The tap that stays, per axis.
        transposed: Whether it is a transposed convolution.
    """
    total = sum(value.abs() for value in alpha)
    output = 0
    for value, rates in zip(alpha, branches, strict=True):
        share = value.abs() / total if total.item() > 0 else torch.ones((), dtype=x.dtype) / len(branches)
        output = output + share * _naive(x, conv, rates, anchors, transposed)
    bias = conv["bias"]
    return output if bias is None else output + bias.reshape(-1, *(1,) * len(anchors))


def _naive(x: Tensor, conv: dict, rates: Sequence[int], anchors: Sequence[int], transposed: bool) -> Tensor:
    weight, groups = conv["weight"], conv["groups"]
    make = _scattering if transposed else _gathering
    output = 0
    for taps in itertools.product(*(range(size) for size in weight.shape[2:])):
        moved = x
        for axis, tap in enumerate(taps):
            matrix = make(conv, axis, tap, rates[axis], anchors[axis], x.shape[2 + axis])
            moved = torch.tensordot(moved, matrix.to(x.dtype), dims=([2 + axis], [1])).movedim(-1, 2 + axis)
        output = output + _channels(moved, weight[(..., *taps)], groups, transposed)
    return output


def _channels(x: Tensor, matrix: Tensor, groups: int, transposed: bool) -> Tensor:
    """Multiply the channels of each group of x (B, C_in, …) with its part of the matrix."""
    parts = []
    for some, weights in zip(x.chunk(groups, 1), matrix.chunk(groups, 0), strict=True):
        by_output = weights.T if transposed else weights  # (C_out / groups, C_in / groups)
        parts.append(torch.tensordot(by_output, some, dims=([1], [1])).movedim(0, 1))
    return torch.cat(parts, 1)


def _gathering(conv: dict, axis: int, tap: int, rate: int, anchor: int, frames: int) -> Tensor:
    """Return (outputs, frames): which input an output reads."""
    size, stride = conv["weight"].shape[2 + axis], conv["stride"][axis]
    padding, own = conv["padding"][axis], conv["dilation"][axis]
    outputs = (frames + 2 * padding - (size - 1) * own - 1) // stride + 1
    inside = OUTSIDE[conv["padding_mode"]]
    matrix = torch.zeros(outputs, frames)
    for place in range(outputs):
        found = inside(place * stride - padding + anchor * own + (tap - anchor) * rate, frames)
        if found is not None:
            matrix[place, found] = 1
    return matrix


def _scattering(conv: dict, axis: int, tap: int, rate: int, anchor: int, frames: int) -> Tensor:
    """Return (outputs, frames): which output an input is added to."""
    size, stride = conv["weight"].shape[2 + axis], conv["stride"][axis]
    padding, own = conv["padding"][axis], conv["dilation"][axis]
    outputs = (frames - 1) * stride - 2 * padding + own * (size - 1) + conv["output_padding"][axis] + 1
    matrix = torch.zeros(outputs, frames)
    for frame in range(frames):
        place = frame * stride - padding + anchor * own + (tap - anchor) * rate
        if 0 <= place < outputs:
            matrix[place, frame] = 1
    return matrix


def _zeros(place: int, frames: int) -> int | None:
    return place if 0 <= place < frames else None


def _reflect(place: int, frames: int) -> int:
    while not 0 <= place < frames:
        place = -place if place < 0 else 2 * (frames - 1) - place
    return place


OUTSIDE: dict[str, Callable[[int, int], int | None]] = {
    "zeros": _zeros,
    "reflect": _reflect,
    "replicate": lambda place, frames: min(max(place, 0), frames - 1),
    "circular": lambda place, frames: place % frames,
}
