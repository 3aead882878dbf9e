"""Changing the rates of a network: no weight depends on them, so a trained one can continue with others."""

from __future__ import annotations

from torch import nn

from g2l.errors import InputError
from g2l.receptive_field.conversion import layer_geometry
from g2l.receptive_field.layers import wide_layers
from g2l.receptive_field.padding import settle
from g2l.structure import DilationStructure


class AdjustableRates:
    """The rates of one network, as something that can be set.

    They are those of its convolutions with a kernel above 1, in the order of its modules, which must keep the
    number of frames. Nothing else of the network may depend on them.

    Args:
        network: The network.
        structure: The one it was built with.

    Raises:
        InputError: Its convolutions do not carry the rates of `structure` in this way.
    """

    def __init__(self, network: nn.Module, structure: DilationStructure) -> None:
        self._layers = []
        problem = None
        for name, layer in wide_layers(network).items():
            geometry = layer_geometry(layer, None)
            if isinstance(geometry, str):
                problem = problem or f"{name} {geometry}"
            elif not (isinstance(layer, nn.Conv1d) and layer.stride == (1,) and geometry.keeps_size):
                problem = problem or f"{name} is {layer}, which does not keep the number of frames"
            else:
                self._layers.append((layer, geometry))
        found = tuple(layer.dilation[0] for layer, _ in self._layers)
        if problem is None and found != structure.rates:
            problem = (
                f"expected convolutions of rates {', '.join(map(str, structure.rates))}, but found "
                f"{', '.join(map(str, found)) or 'none'}"
            )
        if problem is not None:
            raise InputError(
                f"the rates of {type(network).__name__} cannot be changed: {problem}.",
                hint="search with a strategy that trains every structure from the start.",
            )

    def set(self, structure: DilationStructure) -> None:
        """Give the network the rates of `structure`, which has the shape of the one it was built with."""
        for (layer, geometry), rate in zip(self._layers, structure.rates, strict=True):
            settle(layer, geometry, (rate,))
