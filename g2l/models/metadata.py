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
_CORRUPTED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
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
        value = asdict(self)
        value |= {
            "schema": SCHEMA,
            "structure": self.structure.as_lists(),
            "backbone": self.backbone.as_dict(),
        }
        value["normalize"] = self.normalize.value
        return canonical_json(value)

    @classmethod
    def from_json(cls, text: str, source: str) -> ModelMetadata:
        """Parse what `to_json` returned.

        Raises:
            InputError: The text is not metadata of this schema; `source`, a file, and the field are named.
        """
        try:
            value = json.loads(text)
            canonical_json(value)  # refuses NaN and infinity, wherever they are
            if value.pop("schema") != SCHEMA:
                raise ValueError(f"its schema is not {SCHEMA}")
            metadata = cls(
                **value
                | {
                    "structure": DilationStructure(tuple(map(tuple, value["structure"]))),
                    "backbone": _backbone(value["backbone"]),
                    "normalize": Normalization(value["normalize"]),
                    "classes": _names(value["classes"]),
                    "background": _names(value["background"]),
                    "mean": _numbers(value["mean"]),
                    "std": _numbers(value["std"]),
                    "transitions": _transitions(value.get("transitions"), len(value["classes"])),
                }
            )
            metadata._check()
        except (*_CORRUPTED, InputError) as error:
            reason = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
            reason = brief(reason.rstrip("."))
            raise InputError(
                f"{source}: its `{METADATA_KEY}` metadata cannot be read ({reason}).",
                hint="the file was not written by g2l, or by a newer version.",
            ) from None
        return metadata

    def _check(self) -> None:
        """Raise ValueError for values that no network or preprocessing can have."""
        for name in ("feature_dim", "sample_rate"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"`{name}` must be an integer >= 1, but is {value!r} instead")
        fps = self.fps
        if fps is not None and not (type(fps) in (int, float) and 0 < fps < math.inf):
            raise ValueError(f"`fps` must be > 0 and finite, but is {fps!r} instead")
        if self.sample_rate > _LARGEST_SAMPLE_RATE:
            raise ValueError(f"`sample_rate` must be <= {_LARGEST_SAMPLE_RATE}, but is {self.sample_rate}")
        if self.layers and len(self.layers) != len(self.structure.rates):
            raise ValueError(f"`layers` must describe {len(self.structure.rates)} layers")
        _ = self.receptive_field  # reads all of them
        if not self.classes:
            raise ValueError("`classes` must hold at least one name, but is empty instead")
        if self.precision is not None and not isinstance(self.precision, dict):
            raise ValueError(f"`precision` must be an object, but is {self.precision!r} instead")
        if self.normalize is Normalization.TRAIN:
            for name in ("mean", "std"):
                found = len(getattr(self, name) or ())
                if found != self.feature_dim:
                    raise ValueError(
                        f"`{name}` must hold {self.feature_dim} numbers, but holds {found} instead"
                    )


def _furthest(layer: Mapping[str, Any]) -> int:
    """Return the rate at which a plain kernel reaches as far as a layer that `describe` saw."""
    (taps,), (rate,) = layer["kernel_size"], layer["dilation"]
    rates = [found for (found,) in layer["branches"]["rates"]] if "branches" in layer else [rate]
    return int((taps - 1) * max(rates) // (KERNEL_SIZE - 1))


def _backbone(value: Any) -> BackboneConfig:
    config = BackboneConfig(**value)
    for name, default in BackboneConfig(prediction_layers=1).as_dict().items():
        found = getattr(config, name)
        if type(found) is not type(default) and not (name == "prediction_layers" and found is None):
            raise ValueError(f"`{name}` of `backbone` must be like {default!r}, but is {found!r} instead")
    return config.validate()


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("expected a list of names")
    return tuple(value)


def _numbers(value: Any) -> tuple[float, ...] | None:
    return None if value is None else tuple(float(item) for item in value)


def _transitions(value: Any, num_classes: int) -> tuple[tuple[int, int, int], ...] | None:
    if value is None:
        return None
    triples = tuple((before, after, count) for before, after, count in value)
    for triple in triples:
        whole = all(type(number) is int and number >= 0 for number in triple)
        if not whole or max(triple[:2]) >= num_classes or not triple[2]:
            raise ValueError(f"`transitions` must hold pairs of classes and their counts, not {triple}")
    return triples
