"""Giving the convolutions of any network branches, moving their rates, and taking the branches away again.

The two verbs of the local search act on whole networks here: `estimate` reads, `expand` changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from g2l.errors import InputError
from g2l.receptive_field.branch_conv import BranchConv1d, Estimate, unsupported
from g2l.receptive_field.rates import Expansion
from g2l.structure import DilationStructure


@dataclass(frozen=True)
class ConversionReport:
    """What `convert` did.

    Attributes:
        converted: Names of the layers that now have branches, in the order of the network.
        skipped: Why each other convolution with a kernel above 1 has none.
    """

    converted: tuple[str, ...]
    skipped: Mapping[str, str]


def convert(
    model: nn.Module, expansion: Expansion, *, select: Callable[[str], bool] = lambda name: True
) -> ConversionReport:
    """Replace, in place, every convolution with a kernel above 1 by a branch convolution.

    Parameters stay the same objects (only `alpha` is new), as do device, dtype, training mode and hooks. A
    convolution used at several places stays one module.

    Args:
        model: The network.
        expansion: How a rate becomes the rates of the branches.
        select: Tells by the name of a convolution whether it takes part.
    """
    made: dict[nn.Module, BranchConv1d] = {}
    converted, skipped = [], {}
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if not _is_wide(module):
            continue
        reason = _objection(name, module, select)
        if reason is not None:
            skipped[name] = reason
            continue
        if module not in made:
            assert isinstance(module, nn.Conv1d)
            made[module] = BranchConv1d(module, expansion)
            converted.append(name)
        model.set_submodule(name, made[module])
    return ConversionReport(tuple(converted), skipped)


def branch_layers(model: nn.Module) -> dict[str, BranchConv1d]:
    """Return the branch convolutions by name, in the order of the network."""
    return {name: module for name, module in model.named_modules() if isinstance(module, BranchConv1d)}


def parameter_groups(
    model: nn.Module, *, learning_rate: float, branch_learning_rate: float
) -> list[dict[str, Any]]:
    """Return two groups for an optimizer: the network's own parameters, then the branch weights α.

    α has its own learning rate, because in the few steps of an interval it would hardly move with that of
    the network, and no weight decay, which would act on nothing but the size of the next step.
    """
    alphas = [layer.alpha for layer in branch_layers(model).values()]
    chosen = {id(alpha) for alpha in alphas}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    return [
        {"params": others, "lr": learning_rate},
        {"params": alphas, "lr": branch_learning_rate, "weight_decay": 0.0},
    ]


def estimate(model: nn.Module) -> dict[str, Estimate]:
    """Return what the branch weights of each layer say (G2L, section 3.3); changes nothing."""
    return {name: layer.estimate() for name, layer in branch_layers(model).items()}


def expand(model: nn.Module, rates: Mapping[str, int]) -> None:
    """Set branches around a new rate in each layer and start their weights anew (G2L, section 3.3).

    Raises:
        InputError: `rates` names other layers than those with branches.
    """
    for name, layer in _matching(model, rates).items():
        layer.expand(rates[name])


def collapse(model: nn.Module, rates: Mapping[str, int]) -> None:
    """Replace, in place, every branch convolution by a plain one at the given rate; names stay.

    Raises:
        InputError: `rates` names other layers than those with branches.
    """
    made: dict[nn.Module, nn.Conv1d] = {
        layer: layer.collapse(rates[name]) for name, layer in _matching(model, rates).items()
    }
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module in made:
            model.set_submodule(name, made[module])


def layer_rates(model: nn.Module) -> dict[str, int]:
    """Return the present rate of every 1-D convolution with a kernel above 1, with branches or without."""
    rates: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, BranchConv1d):
            rates[name] = module.rate
        elif isinstance(module, nn.Conv1d) and _is_wide(module):
            rates[name] = module.dilation[0]
    return rates


def read_structure(model: nn.Module, shape: Sequence[int]) -> DilationStructure:
    """Return the structure of a network whose dilated layers come stage by stage, as in MS-TCN.

    Args:
        model: The network, with branches or without.
        shape: Layers per stage.

    Raises:
        InputError: The number of dilated layers is not the sum of the shape.
    """
    return DilationStructure.from_rates(tuple(layer_rates(model).values()), shape)


def _is_wide(module: nn.Module) -> bool:
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return isinstance(module, kinds) and any(taps > 1 for taps in module.kernel_size)


def _objection(name: str, module: nn.Module, select: Callable[[str], bool]) -> str | None:
    if not select(name):
        return "is not selected"
    if not name:
        return "is the whole model, and can only be replaced inside another module"
    return unsupported(module)


def _matching(model: nn.Module, rates: Mapping[str, int]) -> dict[str, BranchConv1d]:
    layers = branch_layers(model)
    differing = sorted(layers.keys() ^ rates.keys())
    if differing:
        raise InputError(
            f"`rates` must name the {len(layers)} layers with branches, but differs in "
            f"{', '.join(differing)}."
        )
    return layers
