"""Convolutions with any padding: other amounts on both sides, negative ones, any mode, any dimension.

A layer that torch's own class cannot express gets another class (`derive`). It stays the same object:
parameters, parametrizations, hooks, buffers, device and attributes stay, and with them the `forward` of a
subclass, as far as it leaves the convolution itself to `_conv_forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional

from g2l.receptive_field.geometry import TRANSPOSED, CausalConv1d, Convolution, Geometry, Pads, torch_class
from g2l.receptive_field.probe import added
from g2l.receptive_field.rates import Rates

_CONVOLUTIONS: tuple[Callable[..., Tensor], ...] = (
    functional.conv1d,
    functional.conv2d,
    functional.conv3d,
)
_TRANSPOSED: tuple[Callable[..., Tensor], ...] = (
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
)


def convolve(
    conv: Convolution, x: Tensor, weight: Tensor, bias: Tensor | None, rates: Rates, pads: Pads
) -> Tensor:
    """Return the convolution of `x` (…, C_in, *sizes) with zeros outside; stride and groups are `conv`'s."""
    function = _CONVOLUTIONS[len(rates) - 1]
    if all(before == after >= 0 for before, after in pads):
        padding = tuple(before for before, _ in pads)
        return function(x, weight, bias, conv.stride, padding, rates, conv.groups)
    return function(functional.pad(x, flat(pads)), weight, bias, conv.stride, 0, rates, conv.groups)


def convolve_transposed(
    conv: Convolution,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rates: Rates,
    pads: Pads,
    extra: Sequence[int],
) -> Tensor:
    """Return the transposed convolution of `x` (…, C_in, *sizes); stride and groups are `conv`'s.

    `pads` is what is cut before and after each axis of the output, negative numbers add; `extra` is the
    output padding: what is cut less after each axis.
    """
    function, stride, groups = _TRANSPOSED[len(rates) - 1], conv.stride, conv.groups
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
    conv: Convolution, x: Tensor, output_size: list[int] | None, pads: Pads, rates: Rates
) -> list[int]:
    """Return what a transposed convolution cuts less after each axis to give `output_size`.

    None means the module's `output_padding`. Any `rates` with their `pads` give the same sizes.
    """
    padding = [before for before, _ in pads]
    sizes = (conv.stride, padding, conv.kernel_size, len(rates), rates)
    extra: Sequence[int] = conv._output_padding(x, output_size, *sizes)  # type: ignore[operator]
    return list(extra)


def pad_outside(x: Tensor, branches: Sequence[Pads], mode: str) -> tuple[Tensor, list[Pads]]:
    """Return `x` padded as widely as any branch needs in a mode other than zeros, and the pads still to add.

    In these modes, padding depends on the input alone, so all branches share it.
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


class Derived(Convolution):
    """Base of our classes that stand in for the class of a convolution, which is the last of their bases."""

    PREFIX: ClassVar[str]
    """Prefix of the class name before that of the convolution's own class."""

    def note(self) -> str:
        """Return what `print(model)` shows beside what it shows of any convolution."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Return what `print(model)` shows."""
        return f"{super().extra_repr()}, {self.note()}"  # type: ignore[no-untyped-call]


def derive(conv: Convolution, kind: type[Derived], transposed: type[Derived]) -> None:
    """Make `conv` an instance of `kind`, or of `transposed` where it is a transposed convolution."""
    ours = transposed if isinstance(conv, TRANSPOSED) else kind
    conv.__class__ = _combine(ours, type(conv))  # type: ignore[arg-type]


def restore_class(conv: Convolution) -> None:
    """Give a module the class back that it had before `derive`."""
    conv.__class__ = _original(type(conv))


@cache
def _combine(kind: type[Derived], base: type[Convolution]) -> type[Derived]:
    def reduce(self: Convolution, protocol: int) -> tuple[Any, ...]:
        return _new, (kind, base), self.__getstate__()  # type: ignore[no-untyped-call]

    name = f"{kind.PREFIX}{base.__name__}"
    return type(name, (kind, base), {"__reduce_ex__": reduce, "__module__": __name__})


def _new(kind: type[Derived], base: type[Convolution]) -> Convolution:
    made = _combine(kind, base)  # type: ignore[arg-type]
    return made.__new__(made)


def _original(kind: type[Convolution]) -> type[Convolution]:
    *ours, base = kind.__bases__
    if ours:
        return base
    # A parametrization that came after us has put a class of its own on top, which it keeps.
    members = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
    return type(kind.__name__, (_original(base),), members)


class PaddedLayer(Derived):
    """A convolution whose padding follows from its geometry and `dilation` at every call.

    Attributes:
        geometry: What its taps read at any rate.
    """

    PREFIX = "Padded"
    geometry: Geometry

    def note(self) -> str:
        """Return what is added around the input, for `print(model)`."""
        return f"pads={self.geometry.pads(self.dilation, self.dilation)}"


class PaddedConv(PaddedLayer):
    """A convolution with a padding of its own on each side."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        pads = self.geometry.pads(self.dilation, self.dilation)
        x, (missing,) = pad_outside(input, [pads], self.padding_mode)
        return convolve(self, x, weight, bias, self.dilation, missing)


class PaddedConvTranspose(PaddedLayer):
    """A transposed convolution that may cut less than nothing."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the transposed convolution; arguments and shapes are those of torch's module."""
        pads = self.geometry.pads(self.dilation, self.dilation)
        extra = output_padding(self, input, output_size, pads, self.dilation)
        return convolve_transposed(self, input, self.weight, self.bias, self.dilation, pads, extra)


def settle(conv: Convolution, geometry: Geometry, rates: Rates) -> None:
    """Make a convolution without branches compute that of `geometry` at `rates`.

    It keeps its own class where that class can express it; its weight must have the taps of the geometry.
    """
    conv.kernel_size, conv.dilation = geometry.taps, rates
    if isinstance(conv, CausalConv1d):
        return  # it pads by its own dilation
    if geometry.follows:
        geometry = _measured(conv, geometry)
    pads = geometry.pads(rates, rates)
    if conv.padding == "same" and pads == _same(geometry.taps, rates):
        set_padding(conv, "same")
    elif all(before == after >= 0 for before, after in pads):
        set_padding(conv, tuple(before for before, _ in pads))
    else:
        derive(conv, PaddedConv, PaddedConvTranspose)
        conv.geometry = geometry  # type: ignore[assignment]


def set_padding(conv: Convolution, padding: str | tuple[int, ...]) -> None:
    """Set the padding of a convolution, once its kernel size and rate are set."""
    conv.padding = padding
    if isinstance(padding, str):
        same = _same(conv.kernel_size, conv.dilation)
        pads = same if padding == "same" else ((0, 0),) * len(same)
    else:
        pads = tuple((amount, amount) for amount in padding)
    # torch's own form of the padding, built with the convolution, for modes other than zeros.
    conv._reversed_padding_repeated_twice = flat(pads)


def _same(taps: tuple[int, ...], rates: Rates) -> Pads:
    """Return what torch adds for `same`."""
    totals = ((size - 1) * rate for size, rate in zip(taps, rates, strict=True))
    return tuple((total // 2, total - total // 2) for total in totals)


def _measured(conv: Convolution, geometry: Geometry) -> Geometry:
    """Return the geometry of a convolution that pads itself, with what it now adds as something that stays.

    Its `forward` may rely on a kernel size that is no longer its own.
    """
    axes = list(zip(added(conv, torch_class(conv)), geometry.taps, geometry.anchors, strict=True))
    earlier = [amount * anchor // (size - 1) if size > 1 else 0 for amount, size, anchor in axes]
    return Geometry(
        taps=geometry.taps,
        anchors=geometry.anchors,
        before=tuple(before - less for before, less in zip(geometry.before, earlier, strict=True)),
        after=tuple(
            after - (amount - less)
            for after, (amount, _, _), less in zip(geometry.after, axes, earlier, strict=True)
        ),
    )
