"""How large a network is: parameters and multiply-adds, in closed form for our backbones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from g2l.config import FAMILIES, BackboneConfig
from g2l.errors import InputError
from g2l.structure import KERNEL_SIZE, DilationStructure


@dataclass(frozen=True)
class NetworkSize:
    """Cost of a network."""

    parameters: int
    """Trained values."""
    multiply_adds: int
    """Multiply-adds per frame of one forward pass."""


def network_size(
    backbone: BackboneConfig, structure: DilationStructure, *, feature_dim: int, num_classes: int
) -> NetworkSize:
    """Return the size of one of our networks.

    Counted are the products of convolutions and attention, which are nearly all there is; taps that fall on
    padding count too. Per frame, the multiply-adds are exact for a video whose length is a multiple of all
    attention windows of ASFormer, and for any length of the other two. The stages are those of `structure`.
    """
    if backbone.name not in FAMILIES:
        raise InputError(
            f"`backbone` must be one of {', '.join(FAMILIES)} to have a known size, but is "
            f"{backbone.name!r} instead."
        )
    convolutions = list(_convolutions(backbone, structure, feature_dim, num_classes))
    products = sum(inputs * outputs * taps for inputs, outputs, taps in convolutions)
    parameters = products + sum(outputs for _, outputs, _ in convolutions)
    if backbone.name == "asformer":
        # Each query meets w + 2⌊w/2⌋ keys and as many values.
        channels = _attention_channels(backbone.feature_maps)
        products += sum(2 * channels * (rate + 2 * (rate // 2)) for rate in structure.rates)
    return NetworkSize(parameters, products)


def multiply_adds_per_frame(
    backbone: BackboneConfig, structure: DilationStructure, *, feature_dim: int, num_classes: int
) -> int:
    """Return the multiply-adds per frame; see `network_size`."""
    return network_size(backbone, structure, feature_dim=feature_dim, num_classes=num_classes).multiply_adds


def _convolutions(
    backbone: BackboneConfig, structure: DilationStructure, feature_dim: int, num_classes: int
) -> Iterator[tuple[int, int, int]]:
    """Yield input channels, output channels and taps of every convolution."""
    maps = backbone.feature_maps
    for number, columns in enumerate(backbone.topology.columns(structure)):
        yield feature_dim if number == 0 else num_classes, maps, 1
        width = len(columns)
        for _ in columns[0]:
            yield from [(maps, maps, KERNEL_SIZE)] * width
            yield width * maps, maps, 1
            if backbone.name == "asformer":
                channels = _attention_channels(maps)
                yield from [(maps, channels, 1)] * 3  # queries, keys, values
                yield channels, maps, 1
        yield maps, num_classes, 1


def _attention_channels(feature_maps: int) -> int:
    return max(feature_maps // 2, 1)
