"""Structure files in three dialects: ours, the official G2L one, and that of mmcv's rfsearch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.files import read_json, write_json
from g2l.layer_rates import layer_name, rate_of, read_layers, shown
from g2l.structure import DilationStructure

SCHEMA = "g2l.structure/1"

LARGEST_FILE = 2**20
"""Bytes; a structure takes a few hundred to a few thousand."""

_OFFICIAL_SETTINGS = {
    "step": 0,
    "max_step": 31,
    "search_interval": 3,
    "exp_rate": 0.1,
    "init_alphas": 0.01,
    "normlize": "absavg",
    "mmin": 1,
    "mmax": 2048,
    "finetune": False,
}
"""Settings that the official code needs to read a file (METHOD, section 4: ρ = 0.1, every 3 epochs)."""


class Dialect(StrEnum):
    """How a structure is written down."""

    G2L = "g2l"
    OFFICIAL = "official"
    MMCV = "mmcv"


@dataclass(frozen=True, kw_only=True)
class StructureFile:
    """What a structure file says.

    Attributes:
        structure: Dilation rates.
        dialect: How it was written down.
        backbone: Name of the backbone it was found for, or None when the file does not say.
        provenance: How it was found, as JSON values; empty when the file does not say.
    """

    structure: DilationStructure
    dialect: Dialect = Dialect.G2L
    backbone: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


def read_structure(path: Path) -> StructureFile:
    """Read a structure file; the dialect is told by its fields.

    Raises:
        InputError: The file is missing, too large, not JSON, of none of the dialects, or a rate or layer
            in it is wrong; the field is named.
    """
    value = _read_object(path)
    if "schema" in value:
        dialect, structure = Dialect.G2L, _read_stages(path, value)
    elif "model" in value:
        dialect, structure = Dialect.OFFICIAL, read_layers(path, "model", value["model"])
    elif "structure" in value:
        dialect, structure = Dialect.MMCV, read_layers(path, "structure", value["structure"])
    else:
        raise InputError(
            f"{path}: expected `schema` (g2l), `model` (official) or `structure` (mmcv), but found "
            f"{shown(sorted(value))}.",
            hint="give a structure file, such as the structure.json of a search.",
        )
    backbone, provenance = value.get("backbone"), value.get("provenance", {})
    if backbone is not None and not isinstance(backbone, str):
        raise InputError(f"{path}: `backbone` must be a name, but is {shown(backbone)} instead.")
    if not isinstance(provenance, dict):
        raise InputError(f"{path}: `provenance` must be an object, but is {shown(provenance)} instead.")
    return StructureFile(structure=structure, dialect=dialect, backbone=backbone, provenance=provenance)


def write_structure(
    path: Path,
    structure: DilationStructure,
    dialect: Dialect = Dialect.G2L,
    *,
    backbone: str | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a structure file atomically.

    Args:
        path: The file.
        structure: Dilation rates.
        dialect: How to write it down. The readers of the other dialects ignore backbone and provenance.
        backbone: Name of the backbone it was found for, or None.
        provenance: How it was found, as JSON values, or None.

    Raises:
        G2LError: The file cannot be written.
    """
    rates = {
        layer_name(stage, layer): [rate]
        for stage, layers in enumerate(structure.stages)
        for layer, rate in enumerate(layers)
    }
    body: dict[Dialect, dict[str, Any]] = {
        Dialect.G2L: {"schema": SCHEMA, "stages": structure.as_lists()},
        Dialect.OFFICIAL: {"global": _OFFICIAL_SETTINGS, "model": rates},
        # mmcv's names are those of the model inside its parallel wrapper.
        Dialect.MMCV: {"structure": {f"module.{name}": value for name, value in rates.items()}},
    }
    about = {"provenance": dict(provenance or {})} | ({} if backbone is None else {"backbone": backbone})
    write_json(path, body[dialect] | about)


def _read_object(path: Path) -> dict[str, Any]:
    if path.is_file() and path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path}: expected a structure file of at most {LARGEST_FILE} bytes.")
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, but found {shown(value)}.")
    return value


def _read_stages(path: Path, value: Mapping[str, Any]) -> DilationStructure:
    if value["schema"] != SCHEMA:
        raise InputError(f"{path}: `schema` must be {SCHEMA!r}, but is {shown(value['schema'])} instead.")
    stages = value.get("stages")
    if not isinstance(stages, list) or not stages:
        raise InputError(f"{path}: `stages` must be a list of stages, but is {shown(stages)} instead.")
    for number, stage in enumerate(stages):
        if not isinstance(stage, list) or not stage:
            raise InputError(
                f"{path}: `stages[{number}]` must be a list of rates, but is {shown(stage)} instead."
            )
        for layer, rate in enumerate(stage):
            rate_of(path, f"stages[{number}][{layer}]", rate)
    return DilationStructure(tuple(tuple(stage) for stage in stages))
