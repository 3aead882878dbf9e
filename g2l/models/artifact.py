"""`model.safetensors`: weights and, in the header, everything needed to use them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from g2l.errors import InputError, brief, no_such_file
from g2l.files import atomic_path
from g2l.models.metadata import METADATA_KEY, ModelMetadata
from g2l.models.registry import BACKBONES, build_backbone
from g2l.receptive_field import restore


def save_model(path: Path, model: nn.Module, metadata: ModelMetadata) -> None:
    """Write weights and metadata to `path` atomically; refuse weights that could not be loaded again."""
    # Copies, since safetensors refuses tensors that share memory.
    weights = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}
    rebuild(metadata, weights, str(path))
    content = save(weights, metadata={"format": "pt", METADATA_KEY: metadata.to_json()})
    with atomic_path(path) as temporary:  # ours, since safetensors hides that a disk is full
        temporary.write_bytes(content)


def read_metadata(path: Path) -> ModelMetadata:
    """Return the metadata of a model file; only its header is read."""
    return _read(path, weights=False)[0]


def load_model(path: Path, *, backbone: str | None = None) -> tuple[nn.Module, ModelMetadata]:
    """Return the network in evaluation mode on the CPU, and the metadata.

    `backbone` is the `package.module:factory` that the caller expects: code is never imported by a name that
    only the file gives.
    """
    metadata, weights = _read(path, weights=True)
    name = metadata.backbone.name
    if name not in BACKBONES and name != backbone:
        known = ", ".join(sorted(BACKBONES))
        raise InputError(
            f"{path}: expected a backbone of {known}, but it names {brief(repr(name))}.",
            hint=f"if you trust that code, add --backbone {brief(name)}.",
        )
    return rebuild(metadata, weights, str(path)).eval(), metadata


def rebuild(metadata: ModelMetadata, weights: Mapping[str, Tensor], source: str) -> nn.Module:
    """Return the network of `metadata` with the state dict `weights`; torch's random state is unchanged.

    Weights that do not fit raise InputError, which names `source`, a file.
    """
    metadata.backbone.fit(metadata.structure, source)
    if metadata.backbone.name in BACKBONES:
        # Shapes first, which take no memory: a corrupted file may describe a network that fits into none.
        try:
            with torch.device("meta"):
                _build(metadata, weights, source)
        except (TypeError, RuntimeError, OverflowError) as error:
            raise InputError(f"{source}: its network cannot be built ({brief(error)}).") from None
    network = _build(metadata, weights, source)
    try:
        network.load_state_dict(weights)
    except Exception as error:  # weights that are sparse or quantised, branches of other rates
        raise InputError(f"{source}: its weights cannot be loaded ({brief(error)}).") from None
    return network


def _build(metadata: ModelMetadata, weights: Mapping[str, Tensor], source: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        network = build_backbone(
            metadata.backbone,
            metadata.structure,
            feature_dim=metadata.feature_dim,
            num_classes=len(metadata.classes),
        )
    if metadata.layers:
        for name, layer in metadata.layers.items():
            found = weights.get(f"{name}.weight")
            # Before anything is made: a corrupted file may describe a kernel that does not fit into memory.
            if found is None or layer["kernel_size"] != list(found.shape[2:]):
                raise InputError(
                    f"{source}: its metadata describes {name} with another kernel than its weights."
                )
        try:
            restore(network, metadata.layers)
        except InputError as error:
            raise InputError(f"{source}: {brief(error.message)}") from None
    _compare(network.state_dict(), weights, source)
    return network


def _compare(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], source: str) -> None:
    """Refuse a state dict of other names or shapes than those expected."""
    for name in (*expected, *weights):
        if name not in weights:
            difference = f"`{name}` is missing"
        elif name not in expected:
            difference = f"`{brief(name)}` is not part of it"
        elif weights[name].shape != expected[name].shape:
            shapes = [tuple(one[name].shape) for one in (expected, weights)]
            difference = f"`{name}` must have shape {shapes[0]}, but has {shapes[1]} instead"
        else:
            continue
        raise InputError(
            f"{source}: its weights do not fit the network: {difference}.",
            hint="check that structure, backbone settings, classes and weights belong together.",
        )


def _read(path: Path, *, weights: bool) -> tuple[ModelMetadata, dict[str, Tensor]]:
    if not path.is_file():
        raise no_such_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()} if weights else {}  # noqa: SIM118
    except Exception as error:  # SafetensorError, OSError, and others for number formats torch lacks
        raise InputError(
            f"{path}: expected a safetensors file, but it cannot be read ({brief(error)}).",
            hint="it may be truncated; a published checkpoint needs --structure and --mapping.",
        ) from None
    if METADATA_KEY not in header:
        raise InputError(f"{path}: expected `{METADATA_KEY}` metadata in its header, but there is none.")
    return ModelMetadata.from_json(header[METADATA_KEY], str(path)), tensors
