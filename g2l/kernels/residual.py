"""The dilated residual layer of MS-TCN as one operation on a CPU (benchmark row: `training step`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from g2l.kernels.taps import TapConvolution, alpha_gradient, by_tap, shares_of, tap_gradients, tap_products


def residual_layer(
    maps: Tensor, dilated: TapConvolution, weight: Tensor, bias: Tensor, kept: Tensor | None
) -> Tensor:
    """Return x + kept · conv_1x1(relu(conv_dilated(x))), laid out frame by frame (MS-TCN, equations 1 and 2).

    The backward pass keeps x, the output of the ReLU, and `kept`.

    Args:
        maps: x, (B, F, T); copied unless it lies frame by frame.
        dilated: The dilated convolution, (B, F, T) to (B, H, T).
        weight: Of the 1x1 convolution, (F, H, 1).
        bias: Of the 1x1 convolution, (F,).
        kept: Dropout mask, frame mask, or both, broadcast to (B, F, T); None for 1.
    """
    rows = maps.transpose(1, 2).contiguous()  # (B, F, T) -> (B, T, F)
    factors = None if kept is None else kept.transpose(1, 2)
    result: Tensor = _ResidualLayer.apply(  # type: ignore[no-untyped-call]
        rows, dilated.weight, dilated.bias, dilated.alpha, weight, bias, factors, dilated.plan
    )
    return result.transpose(1, 2)


class _ResidualLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        rows, dilated_weight, dilated_bias, alpha, weight, bias, kept, plan = inputs
        taps, shares, matrix = by_tap(dilated_weight), shares_of(alpha), weight[..., 0]
        hidden = tap_products(rows, taps, dilated_bias, shares, plan).relu_()
        ctx.save_for_backward(rows, taps, alpha, hidden, matrix, kept)
        ctx.plan, ctx.shares = plan, shares
        residual = torch.addmm(bias, hidden.flatten(0, 1), matrix.T).view_as(rows)
        if kept is None:
            return residual.add_(rows)
        return torch.addcmul(rows, residual, kept, out=residual)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, taps, alpha, hidden, matrix, kept = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_residual = (gradient if kept is None else gradient * kept).flatten(0, 1)  # (B * T, F)
        of_hidden = of_residual @ matrix  # (B * T, H)
        flat = hidden.flatten(0, 1)
        torch.ops.aten.threshold_backward.grad_input(of_hidden, flat, 0, grad_input=of_hidden)
        of_hidden = of_hidden.view_as(hidden)
        found = tap_gradients(of_hidden, rows, taps, ctx.shares, ctx.plan, beside=gradient)
        return (
            found.rows,
            by_tap(found.taps),
            of_hidden.sum((0, 1)) if ctx.needs_input_grad[2] else None,
            alpha_gradient(alpha, found.shares),
            (of_residual.T @ flat).unsqueeze(-1),
            of_residual.sum(0),
            None,
            None,
        )
