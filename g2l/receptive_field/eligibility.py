"""Which convolutions can be searched, and what their taps read."""

from __future__ import annotations

from typing import TypeGuard

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from g2l.receptive_field.causal import CausalConv1d
from g2l.receptive_field.classes import Convolution
from g2l.receptive_field.geometry import Geometry, centred
from g2l.receptive_field.padded import PaddedLayer
from g2l.receptive_field.probe import UnclearError, surroundings

CONVOLUTIONS: tuple[type[Convolution], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED: tuple[type[Convolution], ...] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
RESERVED = ("alpha", "branches", "geometry")
"""Names of what a layer with branches has in addition."""


def is_wide(module: nn.Module) -> TypeGuard[Convolution]:
    """Return whether a module is a convolution with a kernel above 1: one that has a rate."""
    return isinstance(module, CONVOLUTIONS + TRANSPOSED) and max(module.kernel_size) > 1


def layer_geometry(module: Convolution, causal: bool | None) -> Geometry | str:
    """Return what the taps of a convolution read, or why it cannot be given branches.

    Args:
        module: A convolution with a kernel above 1.
        causal: Whether a plain convolution reads nothing later along its first axis, being padded or cut
            outside of itself; None to tell by the padding.
    """
    kind = next(kind for kind in CONVOLUTIONS + TRANSPOSED if isinstance(module, kind))
    taps = module.kernel_size
    if isinstance(module, LazyModuleMixin):
        return "is lazy: its size is known after a first input"
    even = [size for size in taps if size % 2 == 0]
    if even:
        return f"its kernel size {even[0]} is even"
    if isinstance(module, PaddedLayer):
        return module.geometry
    taken = [name for name in RESERVED if hasattr(module, name)]
    if taken:
        return f"has an attribute `{taken[0]}` of its own"
    if type(module).get_extra_state is not nn.Module.get_extra_state:
        return "has an extra state of its own"
    if kind in TRANSPOSED:
        return _transposed(module, kind)
    return _convolution(module, kind, causal)


def _transposed(module: Convolution, kind: type[Convolution]) -> Geometry | str:
    if type(module).forward is not kind.forward:
        return _other(module, kind)
    taps = module.kernel_size
    return Geometry.of(taps, centred(taps), _padding(module), module.dilation)


def _convolution(module: Convolution, kind: type[Convolution], causal: bool | None) -> Geometry | str:
    taps, rates, padding = module.kernel_size, module.dilation, _padding(module)
    last, middle = tuple(size - 1 for size in taps), centred(taps)
    plain = type(module).forward is kind.forward
    if plain and type(module)._conv_forward is CausalConv1d._conv_forward:
        return Geometry(taps=taps, anchors=last, before=(0,), after=(0,))
    if type(module)._conv_forward is not kind._conv_forward:
        return _other(module, kind)
    if plain:
        full = tuple(pad == size * rate for pad, size, rate in zip(padding, last, rates, strict=True))
        # Of several axes the first is time: frames of a video, or of a skeleton.
        ahead = full if causal is None else (causal, *(False,) * (len(taps) - 1))
        return Geometry.of(taps, _either(ahead, last, middle), padding, rates)
    try:
        found = surroundings(module, kind)
    except UnclearError as error:
        return f"is a {type(module).__name__}, which {error}"
    anchors = _either(found.earlier_only, last, middle)
    if found.follows:
        return Geometry(taps=taps, anchors=anchors, before=padding, after=padding, follows=True)
    return Geometry.of(taps, anchors, padding, rates)


def _other(module: Convolution, kind: type[Convolution]) -> str:
    return f"is a {type(module).__name__}, which computes something else than {kind.__name__}"


def _either(chosen: tuple[bool, ...], yes: tuple[int, ...], no: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(one if first else other for first, one, other in zip(chosen, yes, no, strict=True))


def _padding(module: Convolution) -> tuple[int, ...]:
    """Return the padding of a convolution in numbers."""
    taps, rates = module.kernel_size, module.dilation
    if isinstance(module.padding, tuple):
        return module.padding
    if module.padding == "same":
        return tuple(size // 2 * rate for size, rate in zip(taps, rates, strict=True))
    return (0,) * len(taps)
