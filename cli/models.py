"""Model arguments: our own files, official state dicts, and artifacts of MLflow runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from g2l.errors import InputError

from .options import class_names

if TYPE_CHECKING:
    from torch import nn

    from g2l.inference.sessions import Session
    from g2l.models.metadata import ModelMetadata

ModelOption = Annotated[
    str, typer.Option(help="Model file (.onnx, .safetensors, official .model), runs:/… or models:/….")
]
CHECKPOINTS = "Published checkpoints"


@dataclass(frozen=True)
class CheckpointOptions:
    """What a published checkpoint does not hold, and what no file may decide alone."""

    structure: Annotated[
        Path | None,
        typer.Option(help="Structure of a state dict; 2^l when not given.", rich_help_panel=CHECKPOINTS),
    ] = None
    mapping: Annotated[
        Path | None, typer.Option(help="mapping.txt of a state dict.", rich_help_panel=CHECKPOINTS)
    ] = None
    sample_rate: Annotated[
        int, typer.Option(min=1, help="That a state dict was trained with.", rich_help_panel=CHECKPOINTS)
    ] = 1
    background: Annotated[
        list[str] | None,
        typer.Option(
            help="Its classes left out of Edit and F1; repeatable; '' for none. (default: background)",
            rich_help_panel=CHECKPOINTS,
        ),
    ] = None
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of the features.", rich_help_panel=CHECKPOINTS),
    ] = None
    backbone: Annotated[
        str | None,
        typer.Option(
            help="package.module:factory that a .safetensors file may name.", rich_help_panel=CHECKPOINTS
        ),
    ] = None


def load_network(source: str, checkpoint: CheckpointOptions) -> tuple[nn.Module, ModelMetadata]:
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

        return load_model(path, backbone=checkpoint.backbone)
    return _load_state_dict(path, checkpoint)


def _load_state_dict(path: Path, checkpoint: CheckpointOptions) -> tuple[nn.Module, ModelMetadata]:
    if checkpoint.mapping is None:
        raise InputError(
            f"{path}: a state dict does not name its classes.", hint="give --mapping mapping.txt."
        )
    from g2l.datasets.layout import read_mapping
    from g2l.models.published import load_published
    from g2l.structure_files import read_structure

    return load_published(
        path,
        structure=None if checkpoint.structure is None else read_structure(checkpoint.structure).structure,
        classes=read_mapping(checkpoint.mapping).names,
        background=class_names(checkpoint.background),
        sample_rate=checkpoint.sample_rate,
        fps=checkpoint.fps,
    )


def open_model(source: str, checkpoint: CheckpointOptions, device: str) -> Session:
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
    from g2l.inference.torch_session import TorchSession
    from g2l.machine import usable_cores

    network, metadata = load_network(str(path), checkpoint)
    return TorchSession(network, metadata, chosen, usable_cores())
