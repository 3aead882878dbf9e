"""ASFormer as it is published: `encoder.…` and `decoders.{s}.…`."""

from __future__ import annotations

import re
from pathlib import Path

from g2l.config import BackboneConfig
from g2l.models.published.reading import Weights, conv_shape, equal_layers, length, require_classes

_NETWORK = "ASFormer"
_ATTENTION = re.compile(r"(encoder|decoders\.\d+)\.layers\.\d+\.att_layer\.")


def matches(weights: Weights) -> bool:
    """Return whether the names are those of ASFormer."""
    # Other networks have encoders too.
    return any(_ATTENTION.match(name) for name in weights)


def measure(weights: Weights, num_classes: int, path: Path) -> tuple[BackboneConfig, int]:
    """Return the size of the network and D, read off names and shapes.

    Raises:
        InputError: A weight that tells them is missing or of another shape, the classes are not
            `num_classes`, or encoder and decoders have different numbers of layers.
    """
    feature_maps, feature_dim, _ = conv_shape(weights, "encoder.conv_1x1.weight", _NETWORK, path)
    require_classes(weights, "encoder.conv_out.weight", num_classes, _NETWORK, path)
    stages = ("encoder", *(f"decoders.{number}" for number in range(length(weights, "decoders"))))
    layers = equal_layers(weights, stages, path)
    config = BackboneConfig(name="asformer", stages=len(stages), layers=layers, feature_maps=feature_maps)
    return config, feature_dim
