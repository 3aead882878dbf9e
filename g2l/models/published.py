"""Published checkpoints: state dicts that the code of the papers writes, such as `epoch-N.model`."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from g2l.config import BackboneConfig
from g2l.errors import InputError, brief, no_such_file
from g2l.models.artifact import rebuild
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure

_logger = logging.getLogger("g2l")
_REFUSED = re.compile(r"GLOBAL (\w[\w.]*\w)")

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which checkpoints keep their state dict: Lightning, torch's tutorial, and others."""
PREFIXES = ("_orig_mod.", "module.", "model.", "net.")
"""Prefixes that `torch.compile`, data parallelism and wrapping modules (Lightning) add to weight names."""

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Naming:
    """How the checkpoints of one published network name their weights.

    Attributes:
        network: Name of the network, for errors.
        backbone: Our name of it.
        pattern: A name of it, which those of other networks do not match.
        first: First stage.
        later: List of the other stages.
        entry: Weight of the first stage's 1x1 convolution in, of shape (F, D, 1).
    """

    network: str
    backbone: str
    pattern: re.Pattern[str]
    first: str
    later: str
    entry: str


NAMINGS = (
    Naming("MS-TCN", "ms-tcn", re.compile(r"stage1\.|stages\."), "stage1", "stages", "conv_1x1"),
    Naming("MS-TCN++", "ms-tcn++", re.compile(r"PG\.|Rs\."), "PG", "Rs", "conv_1x1_in"),
    Naming(
        "ASFormer",
        "asformer",
        re.compile(r"(encoder|decoders\.\d+)\.layers\.\d+\.att_layer\."),  # other networks have encoders too
        "encoder",
        "decoders",
        "conv_1x1",
    ),
)


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

    Raises:
        InputError: The file is missing or holds no such state dict, or its stages, layers, classes or shapes
            are not those expected; the key is named.
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
    return _unprefixed(_unwrapped(value, path), path)


def _unwrapped(value: Any, path: Path) -> Weights:
    """Return the state dict in a checkpoint."""
    found = value
    while isinstance(found, Mapping) and not all(isinstance(item, Tensor) for item in found.values()):
        inner = (found[name] for name in WRAPPERS if isinstance(found.get(name), Mapping))
        found = next(inner, None)
    if isinstance(found, Mapping) and found:
        return found
    kind = f"the keys {_some(value)}" if isinstance(value, Mapping) else f"a {type(value).__name__}"
    raise InputError(
        f"{path}: expected a state dict, but found {kind}.",
        hint=f"it may also be the value of {', '.join(WRAPPERS)}.",
    )


def _unprefixed(weights: Weights, path: Path) -> Weights:
    """Return the weights by their names without prefixes."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        own = str(name)
        while own.startswith(PREFIXES):
            own = own.partition(".")[2]
        if own in found:
            raise InputError(f"{path}: expected one network, but `{brief(own)}` is there twice.")
        found[own] = value
    return found


def _measure(weights: Weights, num_classes: int, path: Path) -> tuple[BackboneConfig, list[int], int]:
    """Return the network, the layers of each stage, and D, inferred from names and shapes."""
    naming = next((one for one in NAMINGS if any(map(one.pattern.match, weights))), None)
    if naming is None:
        known = " or ".join(one.network for one in NAMINGS)
        raise InputError(
            f"{path}: expected a state dict of {known}, but found the keys {_some(weights)}.",
            hint="only the published names of these networks are known.",
        )
    feature_maps, feature_dim, _ = _conv_shape(weights, f"{naming.first}.{naming.entry}", naming, path)
    out = f"{naming.first}.conv_out"
    found = _conv_shape(weights, out, naming, path)[0]
    if found != num_classes:
        raise InputError(
            f"{path}: `{out}.weight` is of {found} classes, but {num_classes} classes are given.",
            hint="give the mapping that the model was trained with.",
        )
    stages = [f"{naming.later}.{number}.layers" for number in range(_length(weights, naming.later))]
    first = "PG.conv_dilated_1" if naming.backbone == "ms-tcn++" else f"{naming.first}.layers"
    for name in weights:
        if naming.backbone == "ms-tcn++" and not re.match(r"(PG|Rs\.\d+)\.", name):
            raise InputError(
                f"{path}: expected stages PG, Rs.0, Rs.1, … of {naming.network}, but found `{brief(name)}`.",
                hint="refinement stages that share one module must be saved as one each.",
            )
    layers = [_length(weights, stage) for stage in (first, *stages)]
    if 0 in layers:
        empty = (first, *stages)[layers.index(0)]
        raise InputError(f"{path}: expected a state dict of {naming.network}, but `{empty}.0` is missing.")
    return BackboneConfig(name=naming.backbone, feature_maps=feature_maps), layers, feature_dim


def _conv_shape(weights: Weights, conv: str, naming: Naming, path: Path) -> tuple[int, ...]:
    """Return the shape (out_channels, in_channels, kernel_size) of the weight of a convolution."""
    name = f"{conv}.weight"
    if name not in weights:
        raise InputError(
            f"{path}: expected a state dict of {naming.network}, but `{name}` is missing.",
            hint=f"found the keys {_some(weights)}.",
        )
    shape = tuple(weights[name].shape)
    if len(shape) != 3:
        raise InputError(f"{path}: `{name}` must have 3 axes, but has shape {shape} instead.")
    return shape


def _length(weights: Weights, modules: str) -> int:
    """Return the length of a list of modules: how many different numbers follow its name."""
    found = (re.match(rf"{re.escape(modules)}\.(\d+)\.", name) for name in weights)
    return len({match[1] for match in found if match})


def _some(names: Mapping[Any, Any]) -> str:
    shown = [brief(name) for name in list(names)[:6]]
    return (", ".join(shown) or "of an empty one") + (", …" if len(names) > 6 else "")
