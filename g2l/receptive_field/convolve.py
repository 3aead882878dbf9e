"""Convolutions and transposed ones with any padding: other amounts on both sides, negative ones, any mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional

from g2l.receptive_field.classes import Convolution
from g2l.receptive_field.geometry import Pads
from g2l.receptive_field.rates import Rates

_CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    rates: Rates,
    pads: Pads,
    stride: tuple[int, ...],
    groups: int,
) -> Tensor:
    """Return the convolution of `x`, shape (…, C_in, *sizes), which reads zeros outside.

    Args:
        x: Input.
        weight: (C_out, C_in / groups, *taps).
        bias: (C_out,) or None.
        rates: Dilation rate of each axis.
        pads: Zeros before and after each axis; negative numbers cut.
        stride: Of each axis.
        groups: Groups of channels.
    """
    function = _CONVOLUTIONS[len(rates)]
    if all(before == after >= 0 for before, after in pads):
        return function(x, weight, bias, stride, tuple(before for before, _ in pads), rates, groups)
    return function(functional.pad(x, flat(pads)), weight, bias, stride, 0, rates, groups)


def convolve_transposed(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    rates: Rates,
    pads: Pads,
    extra: Sequence[int],
    stride: tuple[int, ...],
    groups: int,
) -> Tensor:
    """Return the transposed convolution of `x`, shape (…, C_in, *sizes).

    Args:
        x: Input.
        weight: (C_in, C_out / groups, *taps).
        bias: (C_out,) or None.
        rates: Dilation rate of each axis.
        pads: What is cut before and after each axis of the output; negative numbers add.
        extra: Output padding: what is cut less after each axis.
        stride: Of each axis.
        groups: Groups of channels.
    """
    function = _TRANSPOSED[len(rates)]
    axes = list(zip(pads, extra, stride, rates, strict=True))
    if all(before == after >= 0 and more < max(step, rate) for (before, after), more, step, rate in axes):
        padding = tuple(before for before, _ in pads)
        return function(x, weight, bias, stride, padding, tuple(extra), groups, rates)
    whole = function(x, weight, None, stride, 0, 0, groups, rates)
    output = functional.pad(
        whole, flat(tuple((-before, more - after) for (before, after), more, _, _ in axes))
    )
    return output if bias is None else output + bias.reshape(-1, *(1,) * len(rates))


def output_padding(
    module: Convolution, x: Tensor, output_size: list[int] | None, pads: Pads, rates: Rates
) -> list[int]:
    """Return what a transposed convolution cuts less after each axis to give `output_size`.

    Args:
        module: The convolution.
        x: Its input.
        output_size: What its caller wants, or None for the module's `output_padding`.
        pads: What is cut at `rates`.
        rates: Any, since the sizes of the output are the same at all.
    """
    padding = [before for before, _ in pads]
    sizes = (module.stride, padding, module.kernel_size, len(rates), rates)
    extra: Sequence[int] = module._output_padding(x, output_size, *sizes)  # type: ignore[operator]
    return list(extra)


def pad_outside(x: Tensor, branches: Sequence[Pads], mode: str) -> tuple[Tensor, list[Pads]]:
    """Return `x` padded as widely as any branch needs in a mode other than zeros, and the pads still to add.

    What is outside in these modes depends on the input alone, so all branches share it.

    Args:
        x: Input.
        branches: The pads of each branch.
        mode: `padding_mode` of the convolution.
    """
    if mode == "zeros":
        return x, list(branches)
    wide = tuple(
        (max(0, *(pads[axis][0] for pads in branches)), max(0, *(pads[axis][1] for pads in branches)))
        for axis in range(len(branches[0]))
    )
    missing = [
        tuple((before - most[0], after - most[1]) for (before, after), most in zip(pads, wide, strict=True))
        for pads in branches
    ]
    return (functional.pad(x, flat(wide), mode=mode) if any(map(any, wide)) else x), missing


def flat(pads: Pads) -> list[int]:
    """Return pads in the order of `functional.pad`: the last axis first."""
    return [amount for axis in reversed(pads) for amount in axis]
