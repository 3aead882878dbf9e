"""Changing what a convolution computes by changing its class.

Parameters, parametrizations, hooks, buffers, device and every attribute stay, and with them the `forward`
of a subclass, as far as it leaves the convolution itself to `_conv_forward`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

Convolution = nn.modules.conv._ConvNd
"""What torch's convolutions have in common, transposed ones included."""


class Derived(Convolution):
    """Base of our classes that stand in for the class of a convolution, which is the last of their bases."""

    def note(self) -> str:
        """Return what `print(model)` shows beside what it shows of any convolution."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Return what `print(model)` shows."""
        return f"{super().extra_repr()}, {self.note()}"  # type: ignore[no-untyped-call]


def derive(module: Convolution, kinds: Mapping[type[Convolution], type[Derived]]) -> None:
    """Make `module` an instance of our class for its kind of convolution.

    Args:
        module: A convolution of torch, or of a subclass or with parametrizations, for which a class is made.
        kinds: Our class for each class of torch.
    """
    base = type(module)
    module.__class__ = kinds[base] if base in kinds else _combine(_kind_of(base, kinds), base)


def restore_class(module: Convolution) -> None:
    """Give a module the class back that it had before `derive`."""
    module.__class__ = _original(type(module))


def _kind_of(base: type[Convolution], kinds: Mapping[type[Convolution], type[Derived]]) -> type[Derived]:
    return next(kinds[ancestor] for ancestor in base.__mro__ if ancestor in kinds)


def _combine(kind: type[Derived], base: type[Convolution]) -> type[Derived]:
    def reduce(self: Convolution, protocol: int) -> tuple[Any, ...]:
        return _new, (kind, base), self.__getstate__()  # type: ignore[no-untyped-call]

    name = f"{kind.__name__}Of{base.__name__}"
    return type(name, (kind, base), {"__reduce_ex__": reduce, "__module__": __name__})


def _new(kind: type[Derived], base: type[Convolution]) -> Convolution:
    made = _combine(kind, base)
    return made.__new__(made)


def _original(kind: type[Convolution]) -> type[Convolution]:
    *ours, base = kind.__bases__
    if ours:
        return base
    # A parametrization that came after us has put a class of its own on top, which it keeps.
    members = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
    return type(kind.__name__, (_original(base),), members)
