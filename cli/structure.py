"""`g2l structure show` and `g2l structure convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from g2l.config import Normalization
from g2l.errors import InputError
from g2l.settings import setting
from g2l.structure import ReceptiveField
from g2l.structure_files import DEFAULT_BACKBONE

from . import console, tables
from .settings import DebugConfig, JsonConfig, first

if TYPE_CHECKING:
    from g2l.models.metadata import ModelMetadata
    from g2l.structure_files import StructureFile


class ShowConfig(JsonConfig):
    """Display of a structure or model."""

    fps: float | None = first(None, "Frame rate, to show seconds.", above=0)
    feature_dim: int = setting(2048, "Feature dimension, to compute the size.", at_least=1)
    classes: int = setting(11, "Number of classes, to compute the size.", at_least=1)
    feature_maps: int = setting(64, "Channels per layer, to compute the size.", at_least=1)


class DialectConfig(DebugConfig):
    """Dialect of a structure file."""

    to: str = first("g2l", "Dialect to write.", choices=("g2l", "official", "mmcv"))


def show(
    file: Annotated[str, typer.Argument(help="Structure or model file, runs:/… or models:/….")],
    config: ShowConfig,
) -> None:
    """Show rates, receptive field and size of a structure or model.

    Example: g2l structure show runs/…/structure.json --fps 15
    """
    from g2l.structure_files import StructureFile, read_structure
    from g2l.tracking.resolve import resolve_artifact

    path = resolve_artifact(file)
    model = _read_model(path)
    if model is None:
        found = read_structure(path)
    else:
        backbone = model.backbone
        found = StructureFile(structure=model.structure, backbone=backbone.name, causal=backbone.causal)
        config = config.replace(
            fps=config.fps or model.fps,
            feature_dim=model.feature_dim,
            classes=len(model.classes),
            feature_maps=backbone.feature_maps,
        )
    topology, structure = found.topology, found.structure
    network, stages = topology.receptive_field(structure), topology.stage_receptive_fields(structure)
    size = _size(found, config)
    if config.json:
        model_values = {} if model is None else _facts(model)
        console.data_json(_values(found, network, stages, config.fps) | size | model_values)
        return

    def row(name: str, rates: str, reach: ReceptiveField) -> dict[str, str]:
        seen = [_seen(frames, config.fps) for frames in (reach.frames, reach.future)]
        if topology.whole_video:
            seen = [f"whole video (convolutions: {frames})" for frames in seen]
        return {"": name, "dilation rates": rates, "receptive field": seen[0], "look-ahead": seen[1]}

    lines = enumerate(zip(tables.rates(structure, topology), stages, strict=True), start=1)
    rows = [row(f"stage {number}", rates, reach) for number, (rates, reach) in lines]
    title = f"{file}: {'causal ' if found.causal else ''}{found.backbone or DEFAULT_BACKBONE}"
    console.table(title, [*rows, row("network", "", network)])
    if size:
        console.data(
            f"{size['parameters']:,} parameters, {size['multiply_adds_per_frame']:,} multiply-adds per frame "
            f"(feature_dim {config.feature_dim}, {config.classes} classes, "
            f"{config.feature_maps} feature maps)"
        )
    if model is not None:
        for name, value in _facts(model).items():
            console.data(f"{name.replace('_', ' ')}: {_words(value)}")


def _read_model(path: Path) -> ModelMetadata | None:
    """Return the metadata of a model file, None of a file of another kind."""
    if path.suffix == ".safetensors":
        from g2l.models.artifact import read_metadata

        return read_metadata(path)
    if path.suffix == ".onnx":
        from g2l.inference.sessions import open_session

        return open_session(path, "cpu").metadata
    return None


def _facts(model: ModelMetadata) -> dict[str, Any]:
    """Return the facts of a model that a user needs first, as JSON values."""
    delay = model.receptive_field.future * model.sample_rate
    whole = model.normalize is Normalization.VIDEO or model.backbone.topology.whole_video
    return {
        "features": f"{model.feature_dim} x frames",
        "frames_per_second": model.fps,
        "every_nth_frame": model.sample_rate,
        "normalization_inside": model.normalize.value,
        "classes": list(model.classes),
        "background": list(model.background),
        "delay_of_a_stream_in_frames": None if whole else delay,
        "trained_on": model.dataset.get("name"),
        "metrics": {name: round(value, 1) for name, value in model.metrics.items()},
    }


def _words(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{name} {number:g}" for name, number in value.items()]
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "unknown" if value is None else str(value)


def convert(
    source: Annotated[Path, typer.Argument(help="Structure file in any dialect.")],
    target: Annotated[Path, typer.Argument(dir_okay=False, help="File to write.")],
    config: DialectConfig,
) -> None:
    """Convert a structure file between the g2l, official and mmcv dialects.

    Example: g2l structure convert structure.json official.json --to official
    """
    from g2l.pipeline.output import refuse_foreign_file
    from g2l.structure_files import Dialect, read_structure, write_structure

    def is_structure(path: Path) -> bool:
        try:
            return bool(read_structure(path))
        except InputError:
            return False

    found = read_structure(source)
    refuse_foreign_file(target, is_structure)
    write_structure(
        target,
        found.structure,
        Dialect(config.to),
        backbone=found.backbone,
        causal=found.causal,
        provenance=found.provenance,
    )


def _size(found: StructureFile, config: ShowConfig) -> dict[str, int]:
    """Return parameters and multiply-adds per frame of one of our backbones; of others nothing."""
    from g2l.config import FAMILIES, BackboneConfig
    from g2l.models.size import network_size

    name = found.backbone or DEFAULT_BACKBONE
    if name not in FAMILIES:
        return {}
    backbone = BackboneConfig(name=name, feature_maps=config.feature_maps)
    size = network_size(backbone, found.structure, feature_dim=config.feature_dim, num_classes=config.classes)
    return {"parameters": size.parameters, "multiply_adds_per_frame": size.multiply_adds}


def _values(
    found: StructureFile, network: ReceptiveField, stages: Sequence[ReceptiveField], fps: float | None
) -> dict[str, Any]:
    """Return what is shown as JSON values."""
    frames = {
        "receptive_fields": [one.frames for one in stages],
        "look_aheads": [one.future for one in stages],
    }
    values = {
        "backbone": found.backbone or DEFAULT_BACKBONE,
        "causal": found.causal,
        "stages": found.structure.as_lists(),
        **found.topology.report(found.structure),
        **frames,
    }
    if fps is not None:
        values |= {"receptive_field_s": network.frames / fps, "look_ahead_s": network.future / fps}
        values |= {f"{name}_s": [one / fps for one in counts] for name, counts in frames.items()}
    return values


def _seen(frames: int, fps: float | None) -> str:
    return f"{frames:,} frames" + ("" if fps is None else f" = {frames / fps:.1f} s")
