"""Giving the convolutions of any network branches; describing and restoring what a search left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize

from g2l.errors import InputError
from g2l.receptive_field.branches import BranchLayer, add_branches, centre, take_branches, wide_layers
from g2l.receptive_field.endings import set_dense
from g2l.receptive_field.geometry import TRANSPOSED, CausalConv1d, Convolution, Geometry, torch_class
from g2l.receptive_field.padding import (
    PaddedLayer,
    UnclearError,
    restore_class,
    set_padding,
    settle,
    surroundings,
)
from g2l.receptive_field.rates import Expansion

_LARGEST = 2**31 - 1
"""Of a kernel, rate or padding in a description: larger numbers mean a corrupted file."""


@dataclass(frozen=True)
class ConversionReport:
    """Result of `convert`.

    Attributes:
        converted: Names of the layers that now have branches, in the order of the network.
        skipped: Why each other convolution with a kernel above 1 has none.
    """

    converted: tuple[str, ...]
    skipped: Mapping[str, str]


def convert(
    model: nn.Module,
    *,
    max_rate: int,
    expansion_rate: float = 0.1,
    branches: int = 3,
    names: str | Sequence[str] = "*",
    kernel_sizes: Collection[int | tuple[int, ...]] | None = None,
    types: Collection[type[nn.Module]] | None = None,
    causal: bool | None = None,
) -> ConversionReport:
    """Give every convolution with an odd kernel above 1 branches, in place.

    Modules and parameters stay the same objects, only `alpha` is new: whatever refers to a convolution keeps
    working, hooks, parametrizations and the `forward` of subclasses included. A convolution that is used
    at several places is one layer.

    Args:
        model: The network.
        max_rate: Largest rate, at most the length of the longest input. A layer that starts above it is
            clamped.
        expansion_rate: ρ: branch rates are (1 − ρ)d … (1 + ρ)d.
        branches: Branches per layer, odd so that the present rate is one of them, or 2.
        names: Patterns such as `encoder.*`; a layer takes part whose name matches one.
        kernel_sizes: Kernel sizes that take part, a number meaning that of every axis; None for all.
        types: Classes of convolutions that take part; None for all.
        causal: Whether plain convolutions read nothing later along their first axis, being padded or cut
            outside of themselves; None to infer it from the padding, which is (K − 1)·d where the end is cut
            off afterwards. Subclasses that pad themselves are tried out instead.
    """
    expansion = Expansion(expansion_rate=expansion_rate, branches=branches, max_rate=max_rate)
    patterns = [names] if isinstance(names, str) else names

    def selected(name: str, module: Convolution) -> bool:
        taps = module.kernel_size
        same = taps[0] if len(set(taps)) == 1 else taps
        return (
            any(fnmatchcase(name, pattern) for pattern in patterns)
            and (kernel_sizes is None or taps in kernel_sizes or same in kernel_sizes)
            and (types is None or isinstance(module, tuple(types)))
        )

    converted, skipped = [], {}
    for name, module in wide_layers(model).items():
        if isinstance(module, BranchLayer):
            skipped[name] = "has branches already"
        elif not selected(name, module):
            skipped[name] = "is not selected"
        elif isinstance(geometry := layer_geometry(module, causal), str):
            skipped[name] = geometry
        else:
            add_branches(module, geometry, expansion)
            converted.append(name)
    return ConversionReport(tuple(converted), skipped)


def layer_geometry(module: Convolution, causal: bool | None) -> Geometry | str:
    """Return what the taps of a convolution read, or why it cannot have branches."""
    kind, taps = torch_class(module), module.kernel_size
    if isinstance(module, LazyModuleMixin):
        return "is lazy: its size is known after a first input"
    even = [size for size in taps if size % 2 == 0]
    if even:
        return f"its kernel size {even[0]} is even"
    if isinstance(module, PaddedLayer):
        return module.geometry
    taken = [name for name in ("alpha", "branches", "geometry") if hasattr(module, name)]
    if taken:
        return f"has an attribute `{taken[0]}` of its own"
    if type(module).get_extra_state is not nn.Module.get_extra_state:
        return "has an extra state of its own"
    if kind not in TRANSPOSED:
        return _convolution(module, kind, causal)
    if type(module).forward is not kind.forward:
        return _other(module, kind)
    return Geometry.of(taps, _middle(taps), _padding(module), module.dilation)


def _convolution(module: Convolution, kind: type[Convolution], causal: bool | None) -> Geometry | str:
    taps, rates, padding = module.kernel_size, module.dilation, _padding(module)
    last = tuple(size - 1 for size in taps)
    plain = type(module).forward is kind.forward
    if plain and type(module)._conv_forward is CausalConv1d._conv_forward:
        return Geometry(taps=taps, anchors=last, before=(0,), after=(0,))
    if type(module)._conv_forward is not kind._conv_forward:
        return _other(module, kind)
    follows = False
    if plain:
        full = tuple(pad == size * rate for pad, size, rate in zip(padding, last, rates, strict=True))
        # Of several axes the first is time: frames of a video, or of a skeleton.
        ahead = full if causal is None else (causal, *(False,) * (len(taps) - 1))
    else:
        try:
            ahead, follows = surroundings(module, kind)
        except UnclearError as error:
            return f"is a {type(module).__name__}, which {error}"
    anchors = tuple(
        end if first else middle for first, end, middle in zip(ahead, last, _middle(taps), strict=True)
    )
    if follows:
        return Geometry(taps=taps, anchors=anchors, before=padding, after=padding, follows=True)
    return Geometry.of(taps, anchors, padding, rates)


def _other(module: Convolution, kind: type[Convolution]) -> str:
    return f"is a {type(module).__name__}, which computes something else than {kind.__name__}"


def _middle(taps: Sequence[int]) -> tuple[int, ...]:
    return tuple(size // 2 for size in taps)


def _padding(module: Convolution) -> tuple[int, ...]:
    if isinstance(module.padding, tuple):
        return module.padding
    scale = 1 if module.padding == "same" else 0
    return tuple(
        scale * (size // 2) * rate for size, rate in zip(module.kernel_size, module.dilation, strict=True)
    )


def describe(model: nn.Module) -> dict[str, Any]:
    """Return kernel, rate, padding and branches of every convolution with a kernel above 1, as JSON values.

    With it and a state dict, `restore` recreates the network, also in the middle of a search.
    """
    return {name: _describe(layer) for name, layer in wide_layers(model).items()}


def restore(model: nn.Module, description: Mapping[str, Any]) -> None:
    """Give a fresh network, as it was before `convert`, the layers of a description, for its weights."""
    layers = wide_layers(model)
    if layers.keys() != description.keys():
        differing = ", ".join(sorted(layers.keys() ^ description.keys()))
        raise InputError(
            f"the description must name the {len(layers)} convolutions of the network with a kernel above 1, "
            f"but differs in {differing}."
        )
    for name, layer in layers.items():
        try:
            _restore(layer, description[name])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"the description of `{name}` is corrupted: {error!r}.") from error


def _describe(layer: Convolution) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kernel_size": list(layer.kernel_size),
        "dilation": list(layer.dilation),
        "padding": layer.padding if isinstance(layer.padding, str) else list(layer.padding),
        "parametrized": parametrize.is_parametrized(layer, "weight"),
    }
    if hasattr(layer, "merged_centre"):
        found["centre"] = list(centre(layer))
    if isinstance(layer, BranchLayer | PaddedLayer):
        found["geometry"] = asdict(layer.geometry)
    if isinstance(layer, BranchLayer):
        branches = layer.branches
        found["branches"] = {
            "rates": [list(rates) for rates in branches.rates],
            "frozen": branches.frozen,
            "expansion": asdict(branches.expansion),
        }
    return found


def _restore(layer: Convolution, found: Mapping[str, Any]) -> None:
    if isinstance(layer, BranchLayer):
        take_branches(layer)
    elif isinstance(layer, PaddedLayer):
        restore_class(layer)
    axes = len(layer.kernel_size)
    taps, rates = _numbers(found["kernel_size"], axes), _numbers(found["dilation"], axes)
    folded = parametrize.is_parametrized(layer, "weight") and not found["parametrized"]
    if taps != layer.kernel_size or folded:
        shape = (*layer.weight.shape[:2], *taps)
        set_dense(layer, nn.Parameter(layer.weight.new_zeros(shape)))
    layer.kernel_size, layer.dilation = taps, rates
    if "centre" in found:
        layer.merged_centre = _numbers(found["centre"], axes)  # type: ignore[assignment]
    padding = found["padding"]
    set_padding(layer, padding if padding in ("same", "valid") else _numbers(padding, axes, smallest=0))
    if "geometry" not in found:
        return
    geometry = found["geometry"]
    axes_of = {name: tuple(geometry[name]) for name in ("taps", "anchors", "before", "after")}
    geometry = Geometry(**axes_of, follows=bool(geometry["follows"]))
    if "branches" not in found:
        settle(layer, geometry, rates)
        return
    branches = found["branches"]
    layer = add_branches(layer, geometry, Expansion(**branches["expansion"]))
    layer.set_branches([_numbers(branch, axes) for branch in branches["rates"]])
    layer.dilation, layer.branches.frozen = rates, bool(branches["frozen"])


def _numbers(values: Sequence[int], axes: int, *, smallest: int = 1) -> tuple[int, ...]:
    if len(values) != axes or any(
        type(value) is not int or not smallest <= value <= _LARGEST for value in values
    ):
        raise ValueError(f"expected {axes} integers from {smallest} to {_LARGEST}, but found {values}")
    return tuple(values)
