"""MS-TCN++ as it is published: `PG.…` and `Rs.{r}.…`, the refinement stages each with weights of its own."""

from __future__ import annotations

import re
from pathlib import Path

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.models.published.reading import Weights, conv_shape, equal_layers, length, require_classes

_NETWORK = "MS-TCN++"
_STAGE = re.compile(r"(PG|Rs\.\d+)\.")


def matches(weights: Weights) -> bool:
    """Return whether the names are those of MS-TCN++."""
    return any(name.startswith(("PG.", "Rs.")) for name in weights)


def measure(weights: Weights, num_classes: int, path: Path) -> tuple[BackboneConfig, int]:
    """Return the size of the network and D, read off names and shapes.

    Without a refinement stage, their number of layers is taken to be that of the paper: one less than in the
    prediction stage.

    Raises:
        InputError: A weight that tells them is missing or of another shape, the classes are not
            `num_classes`, the refinement stages have different numbers of layers, or one module is all of
            them.
    """
    feature_maps, feature_dim, _ = conv_shape(weights, "PG.conv_1x1_in.weight", _NETWORK, path)
    conv_shape(weights, "PG.conv_dilated_1.0.weight", _NETWORK, path)
    require_classes(weights, "PG.conv_out.weight", num_classes, _NETWORK, path)
    _require_own_stages(weights, path)
    prediction_layers = length(weights, "PG.conv_dilated_1")
    refinements = [f"Rs.{number}" for number in range(length(weights, "Rs"))]
    layers = equal_layers(weights, refinements, path) if refinements else max(prediction_layers - 1, 1)
    config = BackboneConfig(
        name="ms-tcn++",
        stages=1 + len(refinements),
        layers=layers,
        prediction_layers=None if prediction_layers == layers + 1 else prediction_layers,
        feature_maps=feature_maps,
    )
    return config, feature_dim


def _require_own_stages(weights: Weights, path: Path) -> None:
    for name in weights:
        if not _STAGE.match(name):
            raise InputError(
                f"{path}: expected stages PG, Rs.0, Rs.1, … of {_NETWORK}, but found `{name}`.",
                hint="refinement stages that share one module must be saved as one each.",
            )
