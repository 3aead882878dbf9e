"""Convolutions with any padding: other amounts on both sides, negative ones, any mode, any dimension.

A layer that torch's own class cannot express gets another class (`derive`). It stays the same object:
parameters, parametrizations, hooks, buffers, device and attributes stay, and with them the `forward` of a
subclass, as far as it leaves the convolution itself to `_conv_forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from g2l.receptive_field.geometry import TRANSPOSED, CausalConv1d, Convolution, Geometry, Pads, torch_class
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


class PaddedLayer(Convolution):
    """A convolution whose padding follows from its geometry and `dilation` at every call.

    It stands in for the class of a convolution, which is the last of its bases (see `derive`).
    """

    PREFIX: ClassVar[str] = "Padded"
    """Prefix of the class name before that of the convolution's own class."""
    geometry: Geometry
    """Of its taps, at any rate."""

    def note(self) -> str:
        """Return what `print(model)` shows beside what it shows of any convolution."""
        return f"pads={self.geometry.pads(self.dilation, self.dilation)}"

    def extra_repr(self) -> str:
        """Return what `print(model)` shows."""
        return f"{super().extra_repr()}, {self.note()}"  # type: ignore[no-untyped-call]

    def terms(self) -> list[tuple[Tensor | None, Rates]]:
        """Return share (None for all) and rates of each convolution whose sum is the output."""
        return [(None, self.dilation)]

    def add_up(
        self, weight: Tensor, bias: Tensor | None, pads: list[Pads], convolve: Callable[..., Tensor]
    ) -> Tensor:
        """Return the sum over the terms of convolve(share · weight, bias, rates, pads).

        Each term scales the weight rather than its output, because then the backward pass keeps only the
        input. With 3 x 3 taps, mixing inputs instead takes 0.6 to 0.95 of the time on a CPU, but nine times
        the memory, and in depthwise convolutions nearly twice the time (32 to 128 channels of 56 x 56).
        """
        total: Tensor | None = None
        for (share, rates), around in zip(self.terms(), pads, strict=True):
            scaled = weight if share is None else share * weight
            output = convolve(scaled, bias if total is None else None, rates, around)
            total = output if total is None else total + output
        assert total is not None
        return total


class PaddedConv(PaddedLayer):
    """A convolution with a padding of its own on each side."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        pads = [self.geometry.pads(rates, self.dilation) for _, rates in self.terms()]
        x, pads = _pad_outside(input, pads, self.padding_mode)

        def convolve(weight: Tensor, bias: Tensor | None, rates: Rates, pads: Pads) -> Tensor:
            function = _CONVOLUTIONS[len(rates) - 1]
            if all(before == after >= 0 for before, after in pads):
                padding = tuple(before for before, _ in pads)
                return function(x, weight, bias, self.stride, padding, rates, self.groups)
            return function(functional.pad(x, _flat(pads)), weight, bias, self.stride, 0, rates, self.groups)

        return self.add_up(weight, bias, pads, convolve)


class PaddedConvTranspose(PaddedLayer):
    """A transposed convolution that may cut less than nothing."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the transposed convolution; arguments and shapes are those of torch's module."""
        all_rates = [rates for _, rates in self.terms()]
        pads = [self.geometry.pads(rates, self.dilation) for rates in all_rates]
        # Less is cut after each axis to give `output_size`; any rates with their pads give the same.
        cut = [before for before, _ in pads[0]]
        sizes = (output_size, self.stride, cut, self.kernel_size, len(cut), all_rates[0])
        extra = tuple(self._output_padding(input, *sizes))  # type: ignore[operator]

        def convolve(weight: Tensor, bias: Tensor | None, rates: Rates, pads: Pads) -> Tensor:
            function, stride, groups = _TRANSPOSED[len(rates) - 1], self.stride, self.groups
            axes = list(zip(pads, extra, stride, rates, strict=True))
            if all(
                before == after >= 0 and more < max(step, rate) for (before, after), more, step, rate in axes
            ):
                padding = tuple(before for before, _ in pads)
                return function(input, weight, bias, stride, padding, extra, groups, rates)
            whole = function(input, weight, None, stride, 0, 0, groups, rates)
            cuts = tuple((-before, more - after) for (before, after), more, _, _ in axes)
            output = functional.pad(whole, _flat(cuts))
            return output if bias is None else output + bias.reshape(-1, *(1,) * len(rates))

        return self.add_up(self.weight, self.bias, pads, convolve)


def _pad_outside(x: Tensor, branches: list[Pads], mode: str) -> tuple[Tensor, list[Pads]]:
    """Return `x` padded as widely as any branch needs in a mode other than zeros, and the pads still to add.

    In these modes, padding depends on the input alone, so all branches share it.
    """
    if mode == "zeros":
        return x, branches
    wide = tuple(
        (max(0, *(pads[axis][0] for pads in branches)), max(0, *(pads[axis][1] for pads in branches)))
        for axis in range(len(branches[0]))
    )
    missing = [
        tuple((before - most[0], after - most[1]) for (before, after), most in zip(pads, wide, strict=True))
        for pads in branches
    ]
    return (functional.pad(x, _flat(wide), mode=mode) if any(map(any, wide)) else x), missing


def _flat(pads: Pads) -> list[int]:
    """Return pads in the order of `functional.pad`: the last axis first."""
    return [amount for axis in reversed(pads) for amount in axis]


def derive(conv: Convolution, kind: type[PaddedLayer], transposed: type[PaddedLayer]) -> None:
    """Make `conv` an instance of `kind`, or of `transposed` where it is a transposed convolution."""
    ours = transposed if isinstance(conv, TRANSPOSED) else kind
    conv.__class__ = _combine(ours, type(conv))  # type: ignore[arg-type]


def restore_class(conv: Convolution) -> None:
    """Give a module the class back that it had before `derive`."""
    conv.__class__ = _original(type(conv))


@cache
def _combine(kind: type[PaddedLayer], base: type[Convolution]) -> type[PaddedLayer]:
    def reduce(self: Convolution, protocol: int) -> tuple[Any, ...]:
        return _new, (kind, base), self.__getstate__()  # type: ignore[no-untyped-call]

    name = f"{kind.PREFIX}{base.__name__}"
    return type(name, (kind, base), {"__reduce_ex__": reduce, "__module__": __name__})


def _new(kind: type[PaddedLayer], base: type[Convolution]) -> Convolution:
    made = _combine(kind, base)  # type: ignore[arg-type]
    return made.__new__(made)


def _original(kind: type[Convolution]) -> type[Convolution]:
    *ours, base = kind.__bases__
    if ours:
        return base
    # A parametrization that came after us has put a class of its own on top, which it keeps.
    members = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
    return type(kind.__name__, (_original(base),), members)


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
    if padding == "same":
        pads = _same(conv.kernel_size, conv.dilation)
    else:
        amounts = (0,) * len(conv.kernel_size) if isinstance(padding, str) else padding
        pads = tuple((amount, amount) for amount in amounts)
    # torch's own form of the padding, built with the convolution, for modes other than zeros.
    conv._reversed_padding_repeated_twice = _flat(pads)


def _same(taps: tuple[int, ...], rates: Rates) -> Pads:
    """Return what torch adds for `same`."""
    totals = ((size - 1) * rate for size, rate in zip(taps, rates, strict=True))
    return tuple((total // 2, total - total // 2) for total in totals)


def _measured(conv: Convolution, geometry: Geometry) -> Geometry:
    """Return the geometry of a convolution that pads itself, with what it now adds as something that stays.

    Its `forward` may rely on a kernel size that is no longer its own.
    """
    amounts = added(conv, torch_class(conv))
    earlier = [
        amount * anchor // (size - 1) if size > 1 else 0
        for amount, size, anchor in zip(amounts, geometry.taps, geometry.anchors, strict=True)
    ]
    later = [amount - less for amount, less in zip(amounts, earlier, strict=True)]
    return Geometry(
        taps=geometry.taps,
        anchors=geometry.anchors,
        before=tuple(before - less for before, less in zip(geometry.before, earlier, strict=True)),
        after=tuple(after - less for after, less in zip(geometry.after, later, strict=True)),
    )


class Surroundings(NamedTuple):
    """Operations of a subclass's `forward` around its convolution."""

    earlier_only: tuple[bool, ...]
    """Per axis, whether an output depends on no later input."""
    follows: bool
    """Whether the positions that are added grow with `dilation` as the extent of the taps does."""


class _Trial(NamedTuple):
    added: tuple[int, ...]
    removed: tuple[int, ...]
    output: Tensor


class UnclearError(Exception):
    """The module computes something else than a convolution of its padded input; the text describes it."""


def surroundings(conv: Convolution, kind: type[Convolution]) -> Surroundings:
    """Try out a subclass of `kind`, a class of torch, on inputs of zeros and ones and with all weights one.

    Random state, parameters, buffers and mode of the module are left unchanged, and hooks are not called.
    """
    taps, rates, stride = conv.kernel_size, conv.dilation, conv.stride
    shortest = [(size - 1) * (rate + 1) + 1 for size, rate in zip(taps, rates, strict=True)]
    with _at_rest(conv):
        earlier = tuple(
            _reads_no_later(conv, kind, shortest, axis, size * (rate + 1), step)
            for axis, (size, rate, step) in enumerate(zip(taps, rates, stride, strict=True))
        )
        now = _try(conv, kind, _ones(conv, shortest))
        conv.dilation = tuple(rate + 1 for rate in rates)
        then = _try(conv, kind, _ones(conv, shortest))
    growth = tuple(more - before for more, before in zip(then.added, now.added, strict=True))
    extent = tuple(size - 1 for size in taps)
    if growth not in (extent, (0,) * len(taps)) or now.removed != then.removed:
        raise UnclearError("pads or cuts by its dilation in a way that is not understood")
    return Surroundings(earlier, growth == extent)


def added(conv: Convolution, kind: type[Convolution]) -> tuple[int, ...]:
    """Return how many positions the `forward` of a subclass of `kind` adds to each axis."""
    with _at_rest(conv):
        shortest = [(size - 1) * rate + 1 for size, rate in zip(conv.kernel_size, conv.dilation, strict=True)]
        return _try(conv, kind, _ones(conv, shortest)).added


def _reads_no_later(
    conv: Convolution, kind: type[Convolution], shortest: Sequence[int], axis: int, extent: int, stride: int
) -> bool:
    """Return whether an output in the middle of an axis is blind to all inputs after it."""
    present = -(-extent // stride)
    sizes = [*shortest]
    sizes[axis] = present * stride + 1 + extent
    x = _ones(conv, sizes)
    x.narrow(2 + axis, 0, present * stride + 1).zero_()
    output = _try(conv, kind, x).output
    return present < output.shape[2 + axis] and not output.select(2 + axis, present).any()


def _try(conv: Convolution, kind: type[Convolution], x: Tensor) -> _Trial:
    seen: list[tuple[Tensor, Tensor]] = []

    def spy(inner: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        output = kind._conv_forward(conv, inner, torch.ones_like(weight), None)
        seen.append((inner, output))
        return output

    conv._conv_forward = spy  # type: ignore[assignment]
    try:
        output = conv.forward(x)
    except Exception as error:
        raise UnclearError(f"cannot be tried out: {error}") from error
    finally:
        del conv._conv_forward
    if len(seen) != 1 or not isinstance(output, Tensor) or output.dim() != x.dim():
        raise UnclearError(f"computes something else than {kind.__name__}")
    (inner, inside) = seen[0]
    return _Trial(_growth(x, inner), _growth(output, inside), output)


def _growth(small: Tensor, large: Tensor) -> tuple[int, ...]:
    return tuple(more - less for less, more in zip(small.shape[2:], large.shape[2:], strict=True))


def _ones(conv: Convolution, sizes: Sequence[int]) -> Tensor:
    return torch.ones(1, conv.in_channels, *sizes, dtype=conv.weight.dtype, device=conv.weight.device)


@contextmanager
def _at_rest(conv: Convolution) -> Iterator[None]:
    """Put a module into evaluation mode for a while, then restore its modes and rate."""
    modes = [(module, module.training) for module in conv.modules()]
    rates = conv.dilation
    conv.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        conv.dilation = rates
        for module, training in modes:
            module.training = training
