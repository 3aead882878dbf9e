"""Models and structures that an argument names: our own files, published ones, artifacts of MLflow runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from g2l.config import BackboneConfig, DataConfig
from g2l.errors import InputError

from .options import option_list
from .settings import PublishedConfig, StartConfig

if TYPE_CHECKING:
    from torch import nn

    from g2l.inference.sessions import Session
    from g2l.models.metadata import ModelMetadata
    from g2l.structure import DilationStructure

logger = logging.getLogger("g2l")


def load_network(source: str, published: PublishedConfig) -> tuple[nn.Module, ModelMetadata]:
    """Return network and metadata of a `.safetensors` file or an official state dict."""
    from g2l.datasets.layout import read_mapping
    from g2l.models.artifact import load_model
    from g2l.models.published import load_published
    from g2l.structure_files import read_structure
    from g2l.tracking.resolve import resolve_artifact

    path = resolve_artifact(source)
    if path.suffix == ".onnx":
        raise InputError(
            f"{path}: expected a model to export, but found an exported one.",
            hint="give the .safetensors it was made from.",
        )
    if path.suffix == ".safetensors":
        _refuse_known(path, published)
        network, metadata = load_model(path, backbone=published.backbone)
        return network, replace(metadata, fps=published.fps or metadata.fps)
    if published.mapping is None:
        raise InputError(
            f"{path}: a state dict does not name its classes.", hint="give --mapping mapping.txt."
        )
    return load_published(
        path,
        structure=None if published.structure is None else read_structure(published.structure).structure,
        classes=read_mapping(published.mapping).names,
        background=("background",) if published.background is None else published.background,
        sample_rate=published.sample_rate or 1,
        fps=published.fps,
    )


def open_model(source: str, published: PublishedConfig, device: str) -> Session:
    """Return a session for any model argument."""
    from g2l.inference.devices import Device
    from g2l.inference.sessions import TorchSession, open_session
    from g2l.machine import usable_cores
    from g2l.tracking.resolve import resolve_artifact

    path = resolve_artifact(source)
    if path.suffix == ".onnx":
        _refuse_known(path, published)
        return open_session(path, device)
    network, metadata = load_network(str(path), published)
    return TorchSession(network, metadata, Device(device), usable_cores())


def _refuse_known(path: Path, published: PublishedConfig) -> None:
    """Raise `InputError` if an option contradicts the metadata of a model file."""
    names = ("structure", "mapping", "sample_rate", "background")
    given = [name for name in names if getattr(published, name) is not None]
    if given:
        options = option_list(PublishedConfig, given)
        raise InputError(
            f"{path}: these are options for state dicts, but the file holds its own values: {options}.",
            hint=f"`g2l structure show {path}` prints what it holds.",
        )


def check_backbone(backbone: BackboneConfig) -> None:
    """Raise `InputError` if a backbone does not exist, before anything is written."""
    from g2l.models.registry import find_backbone

    find_backbone(backbone.name)


def chosen_structure(
    backbone: BackboneConfig, start: StartConfig, data: DataConfig, folds: Sequence[int]
) -> tuple[DilationStructure, str]:
    """Return the structure to start from in some folds, and a name for it in tables.

    Raises:
        InputError: Both or neither were given, it does not fit the backbone, or it saw test videos.
    """
    from g2l.pipeline.folds import refuse_leaks
    from g2l.structure_files import read_structure
    from g2l.tracking.resolve import resolve_artifact

    check_backbone(backbone)
    if (start.structure is None) != start.hand_designed:
        raise InputError(
            "give either --structure FILE or --hand-designed.",
            hint="--structure takes the structure.json of a search; --hand-designed uses the 2^l baseline.",
        )
    if start.structure is None:
        return backbone.hand_designed(), "hand-designed"
    path = resolve_artifact(start.structure)
    found = read_structure(path)
    backbone.fit(found.structure, str(path))
    refuse_leaks(path, found.provenance, data, folds)
    before, now = _kind(found.backbone, found.causal), _kind(backbone.name, backbone.causal)
    if found.backbone is not None and before != now:
        logger.warning("%s: was found for %s, but is used for %s.", path, before, now)
    return found.structure, "searched"


def _kind(backbone: str | None, causal: bool) -> str:
    return f"causal {backbone}" if causal else str(backbone)
