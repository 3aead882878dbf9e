"""Model arguments: our own files, published checkpoints, and artifacts of MLflow runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from g2l.errors import InputError

from .settings import PublishedConfig

if TYPE_CHECKING:
    from torch import nn

    from g2l.inference.sessions import Session
    from g2l.models.metadata import ModelMetadata


def load_network(source: str, published: PublishedConfig) -> tuple[nn.Module, ModelMetadata]:
    """Return network and metadata of a `.safetensors` file or an official state dict.

    Raises:
        InputError: The file is missing, corrupted, of another kind, or needs a mapping that was not given.
    """
    from g2l.tracking.resolve import resolve_artifact

    path = resolve_artifact(source)
    if path.suffix == ".onnx":
        raise InputError(f"{path}: is already exported.", hint="give the .safetensors it was made from.")
    if path.suffix == ".safetensors":
        from g2l.models.artifact import load_model

        return load_model(path, backbone=published.backbone)
    return _load_state_dict(path, published)


def _load_state_dict(path: Path, published: PublishedConfig) -> tuple[nn.Module, ModelMetadata]:
    if published.mapping is None:
        raise InputError(
            f"{path}: a state dict does not name its classes.", hint="give --mapping mapping.txt."
        )
    from g2l.datasets.layout import read_mapping
    from g2l.models.published import load_published
    from g2l.structure_files import read_structure

    return load_published(
        path,
        structure=None if published.structure is None else read_structure(published.structure).structure,
        classes=read_mapping(published.mapping).names,
        background=published.background,
        sample_rate=published.sample_rate,
        fps=published.fps,
    )


def open_model(source: str, published: PublishedConfig, device: str) -> Session:
    """Return a session for any model argument.

    Raises:
        InputError: As `load_network`, or the device is unknown.
        OperationalError: The device did not start.
    """
    from g2l.inference.devices import parse_device
    from g2l.inference.sessions import open_session
    from g2l.tracking.resolve import resolve_artifact

    path = resolve_artifact(source)
    chosen = parse_device(device)
    if path.suffix == ".onnx":
        return open_session(path, device)
    from g2l.inference.sessions import TorchSession
    from g2l.machine import usable_cores

    network, metadata = load_network(str(path), published)
    return TorchSession(network, metadata, chosen, usable_cores())
