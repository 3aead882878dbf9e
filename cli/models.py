"""Model arguments: our own files, official state dicts, and artifacts of MLflow runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from g2l.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from g2l.inference.sessions import Session
    from g2l.models.metadata import ModelMetadata

ModelOption = Annotated[
    str, typer.Option(help="Model file (.onnx, .safetensors, official .model), runs:/… or models:/….")
]
StructureOption = Annotated[
    Path | None, typer.Option(help="Structure of an official state dict; 2^l when not given.")
]
BackboneOption = Annotated[
    str | None, typer.Option(help="package.module:factory that a .safetensors model may name.")
]
MappingOption = Annotated[Path | None, typer.Option(help="mapping.txt of an official state dict.")]


def load_network(
    source: str, structure: Path | None, mapping: Path | None, backbone: str | None
) -> tuple[nn.Module, ModelMetadata]:
    """Return network and metadata of a `.safetensors` file or an official state dict.

    Raises:
        InputError: The file is missing, damaged, of another kind, or needs a mapping that was not given.
    """
    from g2l.tracking.resolve import resolve_artifact

    path = resolve_artifact(source)
    if path.suffix == ".onnx":
        raise InputError(f"{path}: is exported already.", hint="give the .safetensors it was made from.")
    if path.suffix == ".safetensors":
        from g2l.models.artifact import load_model

        return load_model(path, backbone=backbone)
    if mapping is None:
        raise InputError(
            f"{path}: a state dict does not name its classes.", hint="give --mapping mapping.txt."
        )
    from g2l.datasets.mapping import read_mapping
    from g2l.models.official import load_official
    from g2l.structure_files import read_structure

    return load_official(
        path,
        structure=None if structure is None else read_structure(structure).structure,
        classes=read_mapping(mapping).names,
    )


def open_model(
    source: str, structure: Path | None, mapping: Path | None, backbone: str | None, device: str
) -> Session:
    """Return a session for any model argument.

    Raises:
        InputError: As `load_network`, or the device is unknown.
        OperationalError: The device did not start.
    """
    from g2l.inference.providers import parse_device
    from g2l.inference.sessions import open_session
    from g2l.tracking.resolve import resolve_artifact

    path = resolve_artifact(source)
    chosen = parse_device(device)
    if path.suffix == ".onnx":
        return open_session(path, device)
    from g2l.inference.torch_session import TorchSession

    network, metadata = load_network(str(path), structure, mapping, backbone)
    return TorchSession(network, metadata, chosen)
