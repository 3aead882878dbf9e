"""Ending the search of a network: removing its branches, freezing them, or merging them into one kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize

from g2l.errors import InputError
from g2l.receptive_field.branches import BranchLayer, branch_layers, centre, take_branches
from g2l.receptive_field.geometry import Convolution
from g2l.receptive_field.padding import settle
from g2l.structure import Ending

Replacement = dict[nn.Parameter, list[nn.Parameter]]
"""Replacement of a parameter that the network loses; several where layers shared it."""


def finish(
    model: nn.Module, mode: Ending = Ending.SINGLE, *, optimizer: torch.optim.Optimizer | None = None
) -> None:
    """End the search of every layer with branches, in place.

    Layers that ended as `multiple` before take part, so that they can be merged for deployment. A network in
    `DistributedDataParallel` must be wrapped anew afterwards, since the wrapper would wait for the gradients
    of parameters that are gone.

    The optimizer loses the parameters that are gone, with their moments, and gets those that are new.

    Raises:
        InputError: A weight to be merged is computed by a hook.
    """
    layers = branch_layers(model)
    rates = {name: layer.estimate().rates for name, layer in layers.items()}
    end_layers(layers, rates, Ending(mode), optimizer)


def end_layers(
    layers: Mapping[str, BranchLayer],
    rates: Mapping[str, Sequence[int]],
    mode: Ending,
    optimizer: torch.optim.Optimizer | None = None,
) -> None:
    """End the search of some layers, as `finish` does of all.

    `rates` become the rate of each layer, or the centre of its branches; merged branches stay where they are.
    """
    if mode is Ending.MULTIPLE:
        for name, layer in layers.items():
            layer.expand(rates[name])
            layer.branches.frozen = True
        forget([layer.alpha for layer in layers.values()], optimizer)
        return
    replaced: Replacement = {}
    if mode is Ending.MERGE:
        _refuse_hooks(layers)
    for name, layer in layers.items():
        replaced[layer.alpha] = []
        if mode is Ending.MERGE:
            _merge(layer, replaced)
        else:
            settle(layer, take_branches(layer), tuple(rates[name]))
    forget(list(replaced), optimizer)
    # A group that this empties stays, because a scheduler holds one learning rate for each group.
    for group in optimizer.param_groups if optimizer is not None else ():
        group["params"] = [new for value in group["params"] for new in replaced.get(value, [value])]


def forget(parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer | None) -> None:
    """Drop an optimizer's moments of some parameters."""
    if optimizer is not None:
        for parameter in parameters:
            optimizer.state.pop(parameter, None)


def _merge(layer: BranchLayer, replaced: Replacement) -> None:
    """Make a layer one dense kernel of rate 1, whose size per axis is 1 + (K − 1)·d_max.

    It remembers the centre of its branches, which its `dilation` no longer shows.
    """
    branches = layer.branches.rates
    largest = tuple(map(max, zip(*branches, strict=True)))
    before = _weight_parameters(layer)
    geometry = layer.geometry
    with torch.no_grad():
        weight = layer.weight  # (C_out, C_in / groups, *taps), or transposed
        dense = weight.new_zeros(*weight.shape[:2], *geometry.merged(largest).taps)
        for share, rates in zip(layer.mixing_weights(), branches, strict=True):
            axes = zip(geometry.taps, geometry.anchors, rates, largest, strict=True)
            places = tuple(
                slice(anchor * (most - rate), anchor * (most - rate) + (size - 1) * rate + 1, rate)
                for size, anchor, rate, most in axes
            )
            dense[:, :, *places] += share * weight
    layer.merged_centre = centre(layer)  # type: ignore[assignment]
    take_branches(layer)
    made = nn.Parameter(dense, requires_grad=any(parameter.requires_grad for parameter in before))
    set_dense(layer, made)
    settle(layer, geometry.merged(largest), (1,) * len(largest))
    for parameter in before:
        replaced.setdefault(parameter, [])
    replaced[before[0]].append(made)


def set_dense(conv: Convolution, weight: nn.Parameter) -> None:
    """Give a convolution a weight of its own, replacing a parametrized one too."""
    if parametrize.is_parametrized(conv, "weight"):
        # torch deletes the property from the class, which deep copies of the layer share: it gets its own.
        shared = type(conv)
        conv.__class__ = type(shared.__name__, shared.__bases__, dict(vars(shared)))
        parametrize.remove_parametrizations(conv, "weight")
    conv.weight = weight


def _weight_parameters(conv: Convolution) -> list[nn.Parameter]:
    """Return the parameters that the weight of a convolution is made of."""
    if parametrize.is_parametrized(conv, "weight"):
        originals: nn.Module = conv.parametrizations["weight"]  # type: ignore[index,assignment]
        return list(originals.parameters())
    return [conv._parameters["weight"]]  # type: ignore[list-item]


def _refuse_hooks(layers: Mapping[str, BranchLayer]) -> None:
    for name, layer in layers.items():
        if "weight" not in layer._parameters and not parametrize.is_parametrized(layer, "weight"):
            raise InputError(
                f"`{name}` cannot be merged: expected a weight that is a parameter or parametrized, but a "
                "hook computes it.",
                hint="undo it first, for instance with torch.nn.utils.remove_weight_norm.",
            )
