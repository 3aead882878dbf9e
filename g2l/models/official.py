"""State dicts of the official and the MS-TCN code: `epoch-N.model`."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.models.artifact import rebuild
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure

_logger = logging.getLogger("g2l")
_LAYER = re.compile(r"(stage1|stages\.\d+)\.layers\.(\d+)\.conv_dilated\.weight")
_FIRST = "stage1.conv_1x1.weight"
_LAST = "stage1.conv_out.weight"
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")


def load_official(
    path: Path,
    *,
    structure: DilationStructure | None,
    classes: Sequence[str],
    background: Sequence[str] = ("background",),
    sample_rate: int = 1,
    fps: float | None = None,
) -> tuple[nn.Module, ModelMetadata]:
    """Return an MS-TCN in evaluation mode with the weights of `path`, and metadata that describes it.

    Feature dimension and feature maps are those of the weights. Wrapping in `{"state_dict": …}` and
    the `module.` prefix of data-parallel training are taken off.

    Args:
        path: A state dict saved by `torch.save`; nothing but tensors and plain containers is unpickled.
        structure: Its rates, which a state dict does not hold; None assumes the 2^l of MS-TCN and warns.
        classes: Class names in index order.
        background: Class names left out of Edit and F1.
        sample_rate: That it was trained with (50Salads: 2).
        fps: Frames per second of the feature files, or None.

    Raises:
        InputError: The file is missing, holds something else than such a state dict, or its stages,
            layers, classes or shapes are not those expected; the key is named.
    """
    weights = _read_state_dict(path)
    backbone, feature_dim = _measure(weights, len(classes), path)
    if structure is None:
        structure = backbone.hand_designed()
        _logger.warning("%s: no structure is given; rates 1, 2, 4, … of MS-TCN are assumed.", path)
    backbone.fit(structure, f"{path} and the structure given")
    metadata = ModelMetadata(
        structure=structure,
        backbone=backbone,
        classes=tuple(classes),
        feature_dim=feature_dim,
        background=tuple(background),
        sample_rate=sample_rate,
        fps=fps,
    )
    return rebuild(metadata, weights, str(path)).eval(), metadata


def _measure(weights: Mapping[str, Tensor], num_classes: int, path: Path) -> tuple[BackboneConfig, int]:
    """Return the size of the network and D, read off names and shapes."""
    feature_maps, feature_dim, _ = _shape(weights, _FIRST, path)
    found_classes = _shape(weights, _LAST, path)[0]
    if found_classes != num_classes:
        raise InputError(
            f"{path}: `{_LAST}` is of {found_classes} classes, but {num_classes} classes are given.",
            hint="give the mapping that the model was trained with.",
        )
    layers = _layers_per_stage(weights)
    if len(set(layers)) != 1 or not layers[0]:
        raise InputError(
            f"{path}: expected stages of equally many layers, but found {', '.join(map(str, layers))}."
        )
    return BackboneConfig(stages=len(layers), layers=layers[0], feature_maps=feature_maps), feature_dim


def _shape(weights: Mapping[str, Tensor], name: str, path: Path) -> tuple[int, ...]:
    if name not in weights:
        raise InputError(
            f"{path}: expected a state dict of MS-TCN, but `{name}` is missing.",
            hint=f"it holds {', '.join(list(weights)[:3]) or 'nothing'}.",
        )
    shape = tuple(weights[name].shape)
    if len(shape) != 3:
        raise InputError(f"{path}: `{name}` must have 3 axes, but has shape {shape} instead.")
    return shape


def _layers_per_stage(weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    layers: dict[str, int] = {}
    for stage, layer in (match.groups() for match in map(_LAYER.fullmatch, weights) if match):
        layers[stage] = max(layers.get(stage, 0), int(layer) + 1)
    later = sum(stage != "stage1" for stage in layers)
    return tuple(layers.get(stage, 0) for stage in ("stage1", *(f"stages.{index}" for index in range(later))))


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch raise any of a dozen kinds
        # torch's own text advises how to load it unsafely, so only the name of the object is taken from it.
        refused = _REFUSED.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused is None:
            raise InputError(
                f"{path}: expected a state dict, but the file is damaged or of another kind."
            ) from None
        raise InputError(
            f"{path}: expected a state dict of tensors only, but it holds a pickled {refused[1]}, "
            "which is refused because unpickling can run any code.",
            hint="where the model was trained, save model.state_dict() with torch.save.",
        ) from None
    return _unwrap(value, path)


def _unwrap(value: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(value, Mapping) and isinstance(value.get("state_dict"), Mapping):
        value = value["state_dict"]
    if not isinstance(value, Mapping) or not all(isinstance(item, Tensor) for item in value.values()):
        raise InputError(f"{path}: expected a state dict, but found {_kind(value)}.")
    return {str(name).removeprefix("module."): item for name, item in value.items()}


def _kind(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"a {type(value).__name__}"
    name, item = next((name, item) for name, item in value.items() if not isinstance(item, Tensor))
    return f"a {type(item).__name__} at {name!r}"
