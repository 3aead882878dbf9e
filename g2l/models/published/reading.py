"""Reading sizes off a state dict, with one clear line where it is not as expected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from g2l.errors import InputError

Weights = Mapping[str, Tensor]


def conv_shape(weights: Weights, name: str, network: str, path: Path) -> tuple[int, ...]:
    """Return the shape (out_channels, in_channels, kernel_size) of the weight of a convolution.

    Args:
        weights: A state dict.
        name: Of the weight.
        network: What the state dict should be of, for errors.
        path: Its file, for errors.

    Raises:
        InputError: It is missing or has another number of axes.
    """
    if name not in weights:
        raise InputError(
            f"{path}: expected a state dict of {network}, but `{name}` is missing.",
            hint=f"it holds {', '.join(list(weights)[:3]) or 'nothing'}.",
        )
    shape = tuple(weights[name].shape)
    if len(shape) != 3:
        raise InputError(f"{path}: `{name}` must have 3 axes, but has shape {shape} instead.")
    return shape


def require_classes(weights: Weights, name: str, num_classes: int, network: str, path: Path) -> None:
    """Return if the convolution `name` has one output per class.

    Raises:
        InputError: It has not.
    """
    found = conv_shape(weights, name, network, path)[0]
    if found != num_classes:
        raise InputError(
            f"{path}: `{name}` is of {found} classes, but {num_classes} classes are given.",
            hint="give the mapping that the model was trained with.",
        )


def length(weights: Weights, modules: str) -> int:
    """Return the length of a list of modules: how many different numbers come after its name."""
    found = (re.match(rf"{re.escape(modules)}\.(\d+)\.", name) for name in weights)
    return len({match[1] for match in found if match})


def equal_layers(weights: Weights, stages: Sequence[str], path: Path) -> int:
    """Return how many layers each of the `stages`, at least one, has.

    Raises:
        InputError: They differ, or there are none.
    """
    layers = [length(weights, f"{stage}.layers") for stage in stages]
    if len(set(layers)) != 1 or not layers[0]:
        found = ", ".join(f"{count} in {stage}" for stage, count in zip(stages, layers, strict=True))
        raise InputError(f"{path}: expected stages of equally many layers, but found {found}.")
    return layers[0]
