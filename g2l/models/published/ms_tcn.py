"""MS-TCN as it is published: `stage1.…` and `stages.{s}.…`."""

from __future__ import annotations

from pathlib import Path

from g2l.config import BackboneConfig
from g2l.models.published.reading import Weights, conv_shape, equal_layers, length, require_classes

_NETWORK = "MS-TCN"


def matches(weights: Weights) -> bool:
    """Return whether the names are those of MS-TCN."""
    return any(name.startswith(("stage1.", "stages.")) for name in weights)


def measure(weights: Weights, num_classes: int, path: Path) -> tuple[BackboneConfig, int]:
    """Return the size of the network and D, read off names and shapes.

    Raises:
        InputError: A weight that tells them is missing or of another shape, the classes are not
            `num_classes`, or the stages have different numbers of layers.
    """
    feature_maps, feature_dim, _ = conv_shape(weights, "stage1.conv_1x1.weight", _NETWORK, path)
    require_classes(weights, "stage1.conv_out.weight", num_classes, _NETWORK, path)
    stages = ("stage1", *(f"stages.{number}" for number in range(length(weights, "stages"))))
    layers = equal_layers(weights, stages, path)
    return BackboneConfig(stages=len(stages), layers=layers, feature_maps=feature_maps), feature_dim
