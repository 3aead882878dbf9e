"""What calling a convolution over time comes down to, where it comes down to products."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from g2l.receptive_field.branch_conv import BranchConv1d
from g2l.receptive_field.causal import CausalConv1d
from g2l.receptive_field.products import TapPlan, by_products, tap_plan

WIDEST = 31
"""Taps of the widest kernel that products compute: of those that merging makes, each would take many."""


class Operands(NamedTuple):
    """What products need of a convolution.

    Attributes:
        weight: (C_out, C_in, K).
        bias: (C_out,) or None.
        alpha: Raw branch weights, or None for a single branch.
        plan: What the taps read.
    """

    weight: Tensor
    bias: Tensor | None
    alpha: Tensor | None
    plan: TapPlan


def operands(conv: nn.Module, x: Tensor) -> Operands | None:
    """Return with what `g2l.receptive_field.products` compute `conv(x)`, or None where they do not.

    Args:
        conv: Any module; what may be one of ours is a convolution without groups that keeps the number of
            frames and reads zeros outside, with branches or without. Of a subclass that computes something
            else, or that somebody watches, there are no operands.
        x: Its input.
    """
    if not isinstance(conv, nn.Conv1d) or not is_called_plainly(conv, nn.Conv1d) or not by_products(x):
        return None
    if x.dim() != 3 or conv.groups > 1 or conv.stride != (1,) or conv.padding_mode != "zeros":
        return None
    (taps,), compute = conv.kernel_size, type(conv)._conv_forward
    if taps > WIDEST:
        return None
    rates, alpha = conv.dilation, None
    if isinstance(conv, BranchConv1d):
        if not conv.geometry.keeps_size:
            return None
        (anchor,), rates = conv.geometry.anchors, tuple(rate for (rate,) in conv.branches.rates)
        alpha = conv.alpha if len(conv.alpha) == len(rates) else conv.alpha[: len(rates)]
    elif compute is CausalConv1d._conv_forward:
        anchor = taps - 1
    elif compute is nn.Conv1d._conv_forward and taps % 2 and conv.padding == (taps // 2 * rates[0],):
        anchor = taps // 2
    else:
        return None
    return Operands(conv.weight, conv.bias, alpha, tap_plan(rates, taps, anchor, x.shape[-1]))


def is_called_plainly(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether a call of `module` is the `forward` of `kind` and nothing else, without hooks.

    Args:
        module: The module.
        kind: The class whose `forward` is meant.
    """
    own = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return (
        type(module).forward is kind.forward
        and "forward" not in vars(module)
        and not any(own)
        and not torch_module._has_any_global_hook()  # type: ignore[no-untyped-call]
    )
