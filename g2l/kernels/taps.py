"""Convolutions over time on a CPU: one matrix product per tap, of maps that lie frame by frame in memory.

Each tap reads rows of a (T, F) matrix that start somewhere else, and a matrix product accepts any start:
nothing is padded, copied or rearranged, as torch's own convolution does at every call. Several branches
share one weight, so each tap first mixes what it reads, z_k = Σ_i w_i shift(x, (k − a)·d_i): one more pass
over the maps for each branch instead of one more product. The backward pass keeps only the input, and mixes
it again. Benchmark rows: `training step` and `local-search step`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import mul
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Piece(NamedTuple):
    """Frames `source` of the input that one tap of one branch reads for frames `target` of the output."""

    branch: int
    source: slice
    target: slice


class TapPlan(NamedTuple):
    """Frames of a video that the taps of a convolution read."""

    anchor: int
    """The tap that reads frame t for frame t, in every branch."""
    others: tuple[tuple[int, slice, tuple[Piece, ...]], ...]
    """The other taps that read something, each with the frames of the output that it adds to, and its pieces,
    whose targets count from the first of these frames. The first piece covers them all."""


class TapConvolution(NamedTuple):
    """A convolution over time as these products need it."""

    weight: Tensor  # (C_out, C_in, K)
    bias: Tensor | None  # (C_out,)
    alpha: Tensor | None  # raw branch weights; None for a single branch
    plan: TapPlan


@lru_cache(maxsize=4096)
def tap_plan(rates: tuple[int, ...], taps: int, anchor: int, frames: int) -> TapPlan:
    """Return what `taps` taps read of a video of `frames` frames, with zeros outside.

    Tap k of a branch of rate d reads the frame (k − anchor)·d later.
    """
    others = []
    for tap in range(taps):
        # Output t reads frame t + shift. The shifts of a tap have one sign: the smallest has most to read.
        shifts = sorted((abs(tap - anchor) * rate, branch) for branch, rate in enumerate(rates))
        sign = 1 if tap > anchor else -1
        inside = [(sign * shift, branch) for shift, branch in shifts if shift < frames]
        if tap == anchor or not inside:
            continue
        first = max(0, -inside[0][0])
        pieces = tuple(
            Piece(
                branch,
                slice(max(0, shift), frames + min(0, shift)),
                slice(max(0, -shift) - first, frames - max(0, shift) - first),
            )
            for shift, branch in inside
        )
        others.append((tap, slice(first, frames - max(0, inside[0][0])), pieces))
    return TapPlan(anchor, tuple(others))


def by_products(x: Tensor) -> bool:
    """Return whether to convolve `x` by products: on a CPU, in its own precision, and not in a compiler.

    A compiler has its own fast ways, and an exported network should consist of ordinary convolutions.
    """
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    return not torch.compiler.is_compiling() and not torch._C._get_tracing_state()


def mixing_weights(alpha: Sequence[float]) -> tuple[float, ...]:
    """Return w_i = |α_i| / Σ|α_j|, or equal weights where every α is zero (G2L, section 3.3)."""
    total = math.fsum(abs(value) for value in alpha)
    if total == 0:
        return tuple(1 / len(alpha) for _ in alpha)
    return tuple(abs(value) / total for value in alpha)


def shares_of(alpha: Tensor | None) -> tuple[float, ...]:
    """Return the mixing weights of raw branch weights as numbers; a single branch has all."""
    return (1.0,) if alpha is None else mixing_weights(alpha.tolist())


def convolve_by_taps(
    x: Tensor, weight: Tensor, bias: Tensor | None, alpha: Tensor | None, plan: TapPlan
) -> Tensor:
    """Return the convolution of x (B, C_in, T) as (B, C_out, T), laid out in memory as x is.

    The arguments after `x`, which is copied unless it lies frame by frame, are those of `TapConvolution`.
    """
    rows = x.transpose(1, 2).contiguous()  # (B, C_in, T) -> (B, T, C_in)
    result: Tensor = _Convolution.apply(rows, weight, bias, alpha, plan)  # type: ignore[no-untyped-call]
    found = result.transpose(1, 2)
    return found.contiguous() if x.is_contiguous() else found


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None, alpha: Tensor | None, plan: TapPlan
    ) -> Tensor:
        taps, shares = by_tap(weight), shares_of(alpha)
        ctx.save_for_backward(rows, taps, alpha)
        ctx.plan, ctx.shares = plan, shares
        return tap_products(rows, taps, bias, shares, plan)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, taps, alpha = ctx.saved_tensors
        gradient = gradient.contiguous()
        found = tap_gradients(gradient, rows, taps, ctx.shares, ctx.plan)
        bias = gradient.sum((0, 1)) if ctx.needs_input_grad[2] else None
        return found.rows, by_tap(found.taps), bias, alpha_gradient(alpha, found.shares), None


def by_tap(weight: Tensor) -> Tensor:
    """Return a weight (C_out, C_in, K) as (K, C_in, C_out), or the other way round."""
    return weight.permute(2, 1, 0).contiguous()


def tap_products(
    rows: Tensor, taps: Tensor, bias: Tensor | None, shares: Sequence[float], plan: TapPlan
) -> Tensor:
    """Return the convolution of contiguous rows (B, T, C_in) with taps (K, C_in, C_out) as (B, T, C_out)."""
    # All videos at once, since the anchor tap reads every frame where it is.
    flat, by = rows.flatten(0, 1), taps.unbind()
    product = torch.mm(flat, by[plan.anchor]) if bias is None else torch.addmm(bias, flat, by[plan.anchor])
    result = product.view(*rows.shape[:2], -1)
    for video, total in zip(rows.unbind(), result.unbind(), strict=True):
        for tap, target, pieces in plan.others:
            read = [video[piece.source] for piece in pieces]
            total[target].addmm_(_mixed(read, pieces, shares)[0], by[tap])
    return result


class TapGradients(NamedTuple):
    """Gradients of rows (B, T, C_in), of taps (K, C_in, C_out), and of the mixing weights less their mean.

    The mean is Σ_i w_i ∂w_i; without it, the gradient is what reaches α.
    """

    rows: Tensor
    taps: Tensor
    shares: Sequence[float]


def tap_gradients(
    gradient: Tensor,
    rows: Tensor,
    taps: Tensor,
    shares: Sequence[float],
    plan: TapPlan,
    *,
    beside: Tensor | None = None,
) -> TapGradients:
    """Return the gradients of `tap_products`, given the contiguous `gradient` of its result.

    `beside`, (B, T, C_in) or None, is a gradient that reaches the rows in another way, and is added.
    """
    flat, backwards = gradient.flatten(0, 1), taps.transpose(1, 2).unbind()  # K times (C_out, C_in)
    to_anchor = backwards[plan.anchor]
    product = (
        torch.mm(flat, to_anchor) if beside is None else torch.addmm(beside.flatten(0, 1), flat, to_anchor)
    )
    of_rows, of_taps = product.view_as(rows), torch.zeros_like(taps)
    of_tap, of_shares, largest = of_taps.unbind(), [0.0] * len(shares), shares.index(max(shares))
    torch.mm(rows.flatten(0, 1).T, flat, out=of_tap[plan.anchor])
    for video, of_video, total in zip(rows.unbind(), gradient.unbind(), of_rows.unbind(), strict=True):
        for tap, target, pieces in plan.others:
            read, wanted = [video[piece.source] for piece in pieces], of_video[target]
            parts = _mixed(read, pieces, shares)
            of_tap[tap].addmm_(parts[0].T, wanted)
            if len(shares) == 1:
                total[pieces[0].source].addmm_(wanted, backwards[tap])
                continue
            torch.mm(wanted, backwards[tap], out=parts[0])  # the gradient of what was mixed, in its place
            for (branch, source, _), rows_read, of_part in zip(pieces, read, parts, strict=True):
                total[source].add_(of_part, alpha=shares[branch])
                if branch != largest:
                    of_shares[branch] += torch.dot(rows_read.view(-1), of_part.view(-1)).item()
    if len(shares) > 1:
        # The output being linear in weights as in mixing weights, Σ_i w_i ∂w_i is Σ W ∂W over these taps.
        mean = sum(torch.dot(taps[tap].view(-1), of_tap[tap].view(-1)).item() for tap, *_ in plan.others)
        of_shares = _centred(of_shares, shares, largest, mean)
    return TapGradients(of_rows, of_taps, of_shares)


def alpha_gradient(alpha: Tensor | None, of_shares: Sequence[float]) -> Tensor | None:
    """Return the gradient of raw branch weights, if any, from that of the mixing weights less its mean."""
    if alpha is None:
        return None
    values = alpha.tolist()
    total = math.fsum(map(abs, values))
    return alpha.new_tensor(
        [
            math.copysign(1 / total, value) * of_share if value else 0.0
            for value, of_share in zip(values, of_shares, strict=True)
        ]
    )


def _centred(of_shares: Sequence[float], shares: Sequence[float], largest: int, mean: float) -> list[float]:
    """Return gradients of the mixing weights less their mean, so that Σ_i w_i of them is zero.

    The gradient of the largest weight is unknown and follows from this zero.
    """
    centred = [of_share - mean for of_share in of_shares]
    centred[largest] = 0.0
    centred[largest] = -sum(map(mul, shares, centred)) / shares[largest]
    return centred


def _mixed(read: Sequence[Tensor], pieces: tuple[Piece, ...], shares: Sequence[float]) -> list[Tensor]:
    """Return the rows (T, C) that a tap reads, mixed over the branches, then the part of each other piece."""
    if len(shares) == 1:
        return [read[0]]
    mixed = read[0] * shares[pieces[0].branch]
    parts = [mixed, *(mixed[piece.target] for piece in pieces[1:])]
    for part, rows, piece in zip(parts[1:], read[1:], pieces[1:], strict=True):
        part.add_(rows, alpha=shares[piece.branch])
    return parts
