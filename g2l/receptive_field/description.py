"""Describing what a search has made of the layers of a network, and restoring it in a fresh network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from g2l.errors import InputError
from g2l.receptive_field.branches import BranchLayer, add_branches, take_branches
from g2l.receptive_field.endings import set_dense
from g2l.receptive_field.geometry import Convolution, Geometry
from g2l.receptive_field.layers import centre, wide_layers
from g2l.receptive_field.padding import PaddedLayer, restore_class, set_padding, settle
from g2l.receptive_field.rates import Expansion

_LARGEST = 2**31 - 1
"""Of a kernel, rate or padding: larger numbers mean a corrupted file."""


def describe(model: nn.Module) -> dict[str, Any]:
    """Return kernel, rate, padding and branches of every convolution with a kernel above 1, as JSON values.

    With it and a state dict, `restore` recreates the network, in the middle of a search and after every
    ending.
    """
    return {name: _describe(layer) for name, layer in wide_layers(model).items()}


def restore(model: nn.Module, description: Mapping[str, Any]) -> None:
    """Give a fresh network, as it was before `convert`, the layers of a description; then load its weights.

    Raises:
        InputError: The description is of another network, or corrupted.
    """
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
    geometry = Geometry(**{name: _frozen(value) for name, value in found["geometry"].items()})
    if "branches" not in found:
        settle(layer, geometry, rates)
        return
    branches = found["branches"]
    layer = add_branches(layer, geometry, Expansion(**branches["expansion"]))
    layer.set_branches([_numbers(branch, axes) for branch in branches["rates"]])
    layer.dilation, layer.branches.frozen = rates, bool(branches["frozen"])


def _numbers(values: Sequence[int], axes: int, *, smallest: int = 1) -> tuple[int, ...]:
    if len(values) != axes or any(type(value) is not int or value < smallest for value in values):
        raise ValueError(f"expected {axes} integers >= {smallest}, but found {values}")
    if max(values) > _LARGEST:
        raise ValueError(f"expected integers <= {_LARGEST}, but found {values}")
    return tuple(values)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
