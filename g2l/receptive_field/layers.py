"""The layers of a network: those with branches, and all that have a rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from g2l.errors import InputError
from g2l.receptive_field.branches import BranchLayer, Estimate
from g2l.receptive_field.geometry import Convolution, is_wide
from g2l.receptive_field.rates import Rates


def inside(model: nn.Module) -> nn.Module:
    """Return the network inside of data parallelism or `torch.compile`, which prefix its names."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(compiled := getattr(model, "_orig_mod", None), nn.Module):
            model = compiled
        else:
            return model


def branch_layers(model: nn.Module) -> dict[str, BranchLayer]:
    """Return the layers with branches by name, in the order of the network."""
    return {name: module for name, module in inside(model).named_modules() if isinstance(module, BranchLayer)}


def searched_layers(model: nn.Module) -> dict[str, BranchLayer]:
    """Return those of the layers with branches whose search is not over."""
    return {name: layer for name, layer in branch_layers(model).items() if not layer.branches.frozen}


def wide_layers(model: nn.Module) -> dict[str, Convolution]:
    """Return every convolution with a kernel above 1 by name, in the order of the network."""
    return {name: module for name, module in inside(model).named_modules() if is_wide(module)}


def structure(model: nn.Module) -> dict[str, Rates]:
    """Return the present rates, one per axis, of every convolution with a kernel above 1."""
    return {name: layer.dilation for name, layer in wide_layers(model).items()}


def centre(layer: Convolution) -> Rates:
    """Return the present rates of a convolution; of a merged one, those that its branches were around."""
    rates: Rates = getattr(layer, "merged_centre", layer.dilation)
    return rates


def estimate(model: nn.Module) -> dict[str, Estimate]:
    """Return the estimates of the branch weights of all searched layers (G2L, section 3.3)."""
    return {name: layer.estimate() for name, layer in searched_layers(model).items()}


def expand(model: nn.Module, rates: Mapping[str, Sequence[int]]) -> None:
    """Set branches around new rates, one per axis for each searched layer, and reset their weights."""
    for name, layer in matching(model, rates).items():
        layer.expand(rates[name])


def matching(model: nn.Module, named: Mapping[str, object]) -> dict[str, BranchLayer]:
    """Return the searched layers, which must be those named."""
    layers = searched_layers(model)
    if layers.keys() != named.keys():
        differing = ", ".join(sorted(layers.keys() ^ named.keys()))
        raise InputError(
            f"`rates` must name the {len(layers)} layers with branches, but differs in {differing}."
        )
    return layers


def parameter_groups(
    model: nn.Module,
    *,
    learning_rate: float,
    branch_learning_rate: float = 2e-3,
    weight_decay: float | None = None,
) -> list[dict[str, Any]]:
    """Return two groups for any optimizer of torch: the network's own parameters, then the branch weights α.

    α has its own learning rate, because in the few steps of an interval it would hardly move with that of
    the network, and no weight decay, which would only change the size of the next step. With
    `weight_decay` None, that of the optimizer holds for the network.
    """
    alphas = [layer.alpha for layer in branch_layers(model).values()]
    chosen = {id(alpha) for alpha in alphas}
    network: dict[str, Any] = {
        "params": [value for value in model.parameters() if id(value) not in chosen],
        "lr": learning_rate,
    }
    if weight_decay is not None:
        network["weight_decay"] = weight_decay
    return [network, {"params": alphas, "lr": branch_learning_rate, "weight_decay": 0.0}]
