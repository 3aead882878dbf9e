"""Published checkpoints: state dicts that the code of the papers writes, such as `epoch-N.model`."""

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
from g2l.errors import InputError, brief, no_such_file
from g2l.models.artifact import rebuild
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure
from g2l.structure_files import LAYER_NAMES, backbone_of

_logger = logging.getLogger("g2l")
_REFUSED = re.compile(r"GLOBAL (\w[\w.]*\w)")

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which checkpoints keep their state dict: Lightning, torch's tutorial, and others."""
PREFIXES = ("_orig_mod.", "module.", "model.", "net.")
"""Prefixes that `torch.compile`, data parallelism and wrapping modules (Lightning) add to weight names."""

Weights = Mapping[str, Tensor]


def load_published(
    path: Path,
    *,
    structure: DilationStructure | None,
    classes: Sequence[str],
    background: Sequence[str] = ("background",),
    sample_rate: int = 1,
    fps: float | None = None,
) -> tuple[nn.Module, ModelMetadata]:
    """Return a network in evaluation mode with the weights of `path`, and metadata that describes it.

    Network and size are inferred from names and shapes. The state dict may be wrapped (`WRAPPERS`) and its
    names prefixed (`PREFIXES`).

    Args:
        path: A checkpoint saved by `torch.save`; nothing but tensors and plain containers is unpickled.
        structure: Its rates, which a state dict does not hold; None assumes the hand-designed one and warns.
        classes: Class names in index order.
        background: Class names left out of Edit and F1.
        sample_rate: The one it was trained with (50Salads: 2).
        fps: Frames per second of the feature files, or None.
    """
    weights = _read_state_dict(path)
    backbone, layers, feature_dim = _measure(weights, len(classes), path)
    hand_designed = backbone.hand_designed(layers)
    if structure is None:
        structure = hand_designed
        _logger.warning(
            "%s: no structure is given; the hand-designed rates of %s are assumed.", path, backbone.name
        )
    elif structure.shape != hand_designed.shape:
        expected, found = (", ".join(map(str, one.shape)) for one in (hand_designed, structure))
        raise InputError(
            f"{path}: expected a structure with stages of {expected} rates, as its weights are named, but "
            f"the one given has stages of {found} rates."
        )
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


def _read_state_dict(path: Path) -> Weights:
    """Return the weights in a checkpoint by their names without prefixes."""
    if not path.is_file():
        raise no_such_file(path)
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a corrupted file makes torch raise any of a dozen kinds
        # torch's own text advises how to load it unsafely, so only the name of the object is taken from it.
        refused = _REFUSED.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused is None:
            raise InputError(
                f"{path}: expected a state dict, but the file is corrupted or of another kind."
            ) from None
        raise InputError(
            f"{path}: expected a state dict of tensors only, but it holds a pickled {refused[1]}, "
            "which is refused because unpickling can run any code.",
            hint="where the model was trained, save model.state_dict() with torch.save.",
        ) from None
    weights: dict[str, Tensor] = {}
    for name, weight in _unwrapped(value, path).items():
        own = str(name)
        while own.startswith(PREFIXES):
            own = own.partition(".")[2]
        if own in weights:
            raise InputError(f"{path}: expected one network, but `{brief(own)}` is there twice.")
        weights[own] = weight
    return weights


def _unwrapped(value: Any, path: Path) -> Weights:
    found = value
    while isinstance(found, Mapping) and not all(isinstance(item, Tensor) for item in found.values()):
        inner = (found[name] for name in WRAPPERS if isinstance(found.get(name), Mapping))
        found = next(inner, None)
    if isinstance(found, Mapping) and found:
        return found
    kind = _some(value) if isinstance(value, Mapping) else f"a {type(value).__name__}"
    raise InputError(
        f"{path}: expected a state dict, but found {kind}.",
        hint=f"it may also be the value of {', '.join(WRAPPERS)}.",
    )


def _measure(weights: Weights, num_classes: int, path: Path) -> tuple[BackboneConfig, list[int], int]:
    """Return the network, the layers of each stage, and D, inferred from names and shapes."""
    modules = [name.rpartition(".")[0] for name in weights]
    backbone = backbone_of(modules)
    if backbone is None:
        raise InputError(
            f"{path}: expected a state dict of {', '.join(LAYER_NAMES)}, but found {_some(weights)}.",
            hint="only the published names of these networks are known.",
        )
    names = LAYER_NAMES[backbone]
    first, _, _ = names.first[0].partition(".")
    feature_maps, feature_dim = _conv_shape(
        weights, f"{first}.conv_1x1_in" if backbone == "ms-tcn++" else f"{first}.conv_1x1", path
    )
    found, _ = _conv_shape(weights, f"{first}.conv_out", path)
    if found != num_classes:
        raise InputError(
            f"{path}: `{first}.conv_out.weight` is of {found} classes, but {num_classes} classes are given.",
            hint="give the mapping that the model was trained with.",
        )
    places = {place for module in modules if (place := names.find(module))}
    columns = (0, *range(len(names.first), max(places)[0] + 1))
    layers = [sum(one == column for one, _ in places) for column in columns]
    if 0 in layers:
        raise _missing(path, f"{names.name(columns[layers.index(0)], 0)}.weight", weights)
    other = next((name for name in weights if backbone == "ms-tcn++" and not _OF_STAGES.match(name)), None)
    if other is not None:
        raise InputError(
            f"{path}: expected stages PG, Rs.0, Rs.1, … of ms-tcn++, but found `{brief(other)}`.",
            hint="refinement stages that share one module must be saved as one each.",
        )
    return BackboneConfig(name=backbone, feature_maps=feature_maps), layers, feature_dim


_OF_STAGES = re.compile(r"(PG|Rs\.\d+)\.")


def _conv_shape(weights: Weights, conv: str, path: Path) -> tuple[int, int]:
    """Return the output and input channels of a convolution."""
    name = f"{conv}.weight"
    if name not in weights:
        raise _missing(path, name, weights)
    shape = tuple(weights[name].shape)
    if len(shape) != 3:
        raise InputError(f"{path}: `{name}` must have 3 axes, but has shape {shape} instead.")
    return shape[0], shape[1]


def _missing(path: Path, name: str, weights: Weights) -> InputError:
    return InputError(
        f"{path}: expected the state dict of a published network, but `{name}` is missing.",
        hint=f"found {_some(weights)}.",
    )


def _some(names: Mapping[Any, Any]) -> str:
    shown = [brief(name) for name in list(names)[:6]]
    return f"the keys {', '.join(shown) or 'of an empty one'}" + (", …" if len(names) > 6 else "")
