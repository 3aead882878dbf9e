"""Changing the rates of a network: no weight depends on them, so a trained one can go on with others."""

from __future__ import annotations

from torch import nn

from g2l.errors import InputError
from g2l.receptive_field.geometry import CausalConv1d
from g2l.structure import DilationStructure

_HINT = "search with a strategy that trains every structure from the start."


class AdjustableRates:
    """The rates of one network, as something that can be set.

    What carries them are its convolutions with a kernel above 1, in the order of its modules, causal or
    zero-padded on both sides alike, so that the output is as long as the input. Such a convolution reads rate
    and padding at each call, and nothing else of a network may depend on them.

    Args:
        network: The network.
        structure: What it was built with.

    Raises:
        InputError: Its convolutions do not carry the rates of `structure` in this way.
    """

    def __init__(self, network: nn.Module, structure: DilationStructure) -> None:
        kernels = {name: module for name, module in network.named_modules() if _mixes_frames(module)}
        for name, layer in kernels.items():
            if not _keeps_length(layer):
                raise InputError(
                    f"the rates of {type(network).__name__} cannot be changed: expected convolutions of "
                    f"stride 1 that keep the length, but {name} is {layer}.",
                    hint=_HINT,
                )
        self._layers = [layer for layer in kernels.values() if isinstance(layer, nn.Conv1d)]
        found = tuple(layer.dilation[0] for layer in self._layers)
        if found != structure.rates:
            raise InputError(
                f"the rates of {type(network).__name__} cannot be changed: expected convolutions of rates "
                f"{', '.join(map(str, structure.rates))}, but found {', '.join(map(str, found)) or 'none'}.",
                hint=_HINT,
            )

    def set(self, structure: DilationStructure) -> None:
        """Give the network the rates of `structure`, which has the shape of the one it was built with."""
        for layer, rate in zip(self._layers, structure.rates, strict=True):
            layer.dilation = (rate,)
            layer.padding = _padding(layer)


def _mixes_frames(module: nn.Module) -> bool:
    # The private base class of torch also catches transposed convolutions and those of other dimensions.
    return isinstance(module, nn.modules.conv._ConvNd) and max(module.kernel_size) > 1


def _keeps_length(layer: nn.Module) -> bool:
    # A subclass of somebody else's may compute anything.
    return (
        isinstance(layer, nn.Conv1d)
        and type(layer) in (nn.Conv1d, CausalConv1d)
        and layer.stride == (1,)
        and layer.padding_mode == "zeros"
        and layer.kernel_size[0] % 2 == 1
        and layer.padding == _padding(layer)
    )


def _padding(layer: nn.Conv1d) -> tuple[int]:
    """Return the padding that keeps the length at the present rate; a causal convolution finds its own."""
    if isinstance(layer, CausalConv1d):
        return (0,)
    return (layer.dilation[0] * (layer.kernel_size[0] // 2),)
