"""Finding out what a subclass of a convolution does to its input before the convolution itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from g2l.receptive_field.geometry import Convolution


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
