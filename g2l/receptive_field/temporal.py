"""The rates of networks over time, whose convolutions have one axis."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from g2l.receptive_field.layers import wide_layers
from g2l.structure import DilationStructure


def layer_rates(model: nn.Module) -> dict[str, int]:
    """Return the present rate of every 1-D convolution with a kernel above 1, with branches or without."""
    layers = wide_layers(model).items()
    return {name: layer.dilation[0] for name, layer in layers if isinstance(layer, nn.Conv1d)}


def read_structure(model: nn.Module, shape: Sequence[int]) -> DilationStructure:
    """Return the structure of a network whose dilated layers come stage by stage, as in MS-TCN.

    Args:
        model: The network, with branches or without.
        shape: Layers per stage.

    Raises:
        InputError: The number of dilated layers is not the sum of the shape.
    """
    return DilationStructure.from_rates(tuple(layer_rates(model).values()), shape)
