"""Metadata of a model file: enough to rebuild the network and to repeat its preprocessing. Torch-free."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from g2l.config import BackboneConfig, Normalization
from g2l.errors import InputError, brief
from g2l.files import canonical_json
from g2l.structure import KERNEL_SIZE, DilationStructure, ReceptiveField
from g2l.typed_json import build

SCHEMA = "g2l.model/1"
METADATA_KEY = "g2l"
"""Key of the one JSON text in the metadata of `model.safetensors` and in `metadata_props` of `model.onnx`."""
INPUT_KEY = "g2l.input"
"""Key of the sentence in `metadata_props` that describes the features that an ONNX graph takes. Files of
0.1.0, whose graphs never normalise, have none."""
STANDARDIZED = "standardized_features"
"""The value in an ONNX graph up to which it only normalises."""
_LARGEST_SAMPLE_RATE = 2**16
"""Predictions are repeated so often: half an hour of video at 30 frames per second."""
_CORRUPTED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, InputError)
"""Raised while reading where a value has another type than it should have."""


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """Everything beside the weights.

    Attributes:
        structure: Dilation rates.
        backbone: Network, feature maps and dropout; its stages are those of `structure`.
        classes: Class names in index order, length C.
        background: Class names left out of Edit and F1.
        feature_dim: D of the feature files.
        sample_rate: Every r-th frame is used; predictions are repeated r times.
        normalize: Standardisation of the features.
        mean: Row means, length D, when `normalize` is `train`.
        std: Row standard deviations, length D, when `normalize` is `train`.
        fps: Frames per second of the feature files, or None.
        seed: Seed of the training.
        metrics: Metrics of these weights and the partition they were measured on in each key
            (`holdout/f1@10`, `test/edit`).
        run_id: MLflow run that made them, or None.
        dataset: Name, split and fingerprint of the training data.
        layers: Branches or dense kernels that a search left, as `g2l.receptive_field.describe` returns them;
            empty for plain convolutions.
        transitions: (class index, index of the class one frame later, count) over the training partition at
            the network's frame rate; None in older files.
        precision: How an fp16 or int8 file compared with fp32 when it was made; None for fp32.
    """

    structure: DilationStructure
    backbone: BackboneConfig
    classes: tuple[str, ...]
    feature_dim: int
    background: tuple[str, ...] = ("background",)
    sample_rate: int = 1
    normalize: Normalization = Normalization.NONE
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    fps: float | None = None
    seed: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    run_id: str | None = None
    dataset: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[str, Any] = field(default_factory=dict)
    transitions: tuple[tuple[int, int, int], ...] | None = None
    precision: Mapping[str, Any] | None = None

    @property
    def receptive_field(self) -> ReceptiveField:
        """How far a label sees; where a layer has several branches, the furthest counts."""
        rates = [_furthest(layer) for layer in self.layers.values()] or self.structure.rates
        return self.backbone.topology.receptive_field(
            DilationStructure.from_rates(rates, self.structure.shape)
        )

    def to_json(self) -> str:
        """Return the one JSON text that model files hold."""
        value = asdict(self) | {"schema": SCHEMA, "structure": self.structure.as_lists()}
        return canonical_json(
            value | {"backbone": self.backbone.as_dict(), "normalize": self.normalize.value}
        )

    @classmethod
    def from_json(cls, text: str, source: str) -> ModelMetadata:
        """Parse what `to_json` returned; errors name `source`, a file, and the field."""
        try:
            value = json.loads(text)
            canonical_json(value)  # refuses NaN and infinity, wherever they are
            if value["schema"] != SCHEMA:
                raise ValueError(f"its schema is not {SCHEMA}")
            value["structure"] = {"stages": value["structure"]}
            metadata = build(cls, value, "in it")
            metadata._check()
        except _CORRUPTED as error:
            reason = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
            raise InputError(
                f"{source}: its `{METADATA_KEY}` metadata cannot be read ({brief(reason.rstrip('.'))}).",
                hint="the file was not written by g2l, or by a newer version.",
            ) from None
        return metadata

    def _check(self) -> None:
        """Raise ValueError for values that no network or preprocessing can have."""
        self.backbone.validate()
        if self.layers and len(self.layers) != len(self.structure.rates):
            raise ValueError(f"`layers` must describe {len(self.structure.rates)} layers")
        _ = self.receptive_field  # reads all of them
        statistics = (self.mean, self.std) if self.normalize is Normalization.TRAIN else ()
        classes = range(len(self.classes))
        checks = {
            "feature_dim must be >= 1": self.feature_dim >= 1,
            f"sample_rate must be 1 … {_LARGEST_SAMPLE_RATE}": 1 <= self.sample_rate <= _LARGEST_SAMPLE_RATE,
            "fps must be > 0 and finite": self.fps is None or 0 < self.fps < math.inf,
            "classes must hold at least one name": self.classes,
            f"mean and std must hold {self.feature_dim} numbers": all(
                len(row or ()) == self.feature_dim for row in statistics
            ),
            "transitions must hold pairs of classes and their counts": all(
                before in classes and after in classes and count > 0
                for before, after, count in self.transitions or ()
            ),
        }
        for expected, holds in checks.items():
            if not holds:
                raise ValueError(expected)


def _furthest(layer: Mapping[str, Any]) -> int:
    """Return the rate at which a plain kernel reaches as far as a layer that `describe` saw."""
    (taps,), (rate,) = layer["kernel_size"], layer["dilation"]
    rates = [found for (found,) in layer["branches"]["rates"]] if "branches" in layer else [rate]
    return int((taps - 1) * max(rates) // (KERNEL_SIZE - 1))
