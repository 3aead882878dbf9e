"""The dilated convolutions of our networks, and when a CPU computes them as matrix products."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from g2l.kernels.taps import TapConvolution, by_products, convolve_by_taps, tap_plan
from g2l.receptive_field.branches import BranchConv
from g2l.receptive_field.geometry import CausalConv1d
from g2l.structure import KERNEL_SIZE

WIDEST = 31
"""Taps of the widest kernel that products compute; a merged kernel may have many more."""


def dilated_convolution(channels: int, rate: int, *, causal: bool) -> nn.Conv1d:
    """Return the dilated convolution of a layer, (B, channels, T) to (B, channels, T).

    A causal one reads the present and earlier frames only, instead of as many on either side.
    """
    if causal:
        return CausalConv1d(channels, channels, KERNEL_SIZE, dilation=rate)
    padding = rate * (KERNEL_SIZE // 2)
    return nn.Conv1d(channels, channels, KERNEL_SIZE, padding=padding, dilation=rate)


def convolve(conv: nn.Module, maps: Tensor) -> Tensor:
    """Return conv(maps), (B, F, T) to (B, F, T), as matrix products where they give the same."""
    found = as_taps(conv, maps)
    if found is None:
        result: Tensor = conv(maps)
        return result
    return convolve_by_taps(maps, *found)


def as_taps(conv: nn.Module, x: Tensor) -> TapConvolution | None:
    """Return what the tap products need to compute `conv(x)`, or None where they cannot.

    They compute convolutions over time without groups that keep the number of frames and read zeros outside,
    with branches or without; not subclasses that compute something else, nor where hooks are registered.
    """
    if not isinstance(conv, nn.Conv1d) or not is_called_plainly(conv, nn.Conv1d) or not by_products(x):
        return None
    (taps,), compute = conv.kernel_size, type(conv)._conv_forward
    if taps > WIDEST:
        return None
    if isinstance(conv, BranchConv):
        return conv.as_taps(x, conv.weight, conv.bias)
    if x.dim() != 3 or conv.groups > 1 or conv.stride != (1,) or conv.padding_mode != "zeros":
        return None
    (rate,) = conv.dilation
    if compute is CausalConv1d._conv_forward:
        anchor = taps - 1
    elif compute is nn.Conv1d._conv_forward and taps % 2 and conv.padding == (taps // 2 * rate,):
        anchor = taps // 2
    else:
        return None
    return TapConvolution(conv.weight, conv.bias, None, tap_plan((rate,), taps, anchor, x.shape[-1]))


def is_called_plainly(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Return whether a call of `module` is the `forward` of `kind` and nothing else, without hooks."""
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return (
        type(module).forward is kind.forward
        and "forward" not in vars(module)
        and not any(hooks)
        and not torch_module._has_any_global_hook()  # type: ignore[no-untyped-call]
    )
