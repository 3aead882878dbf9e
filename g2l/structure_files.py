"""Structure files in three dialects: ours, the official G2L one, and that of mmcv's rfsearch.

The last two say a rate for each layer by its name, so they can hold those of any network: see
`read_layer_rates` and `write_layer_rates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from g2l.config import topology_of
from g2l.errors import InputError
from g2l.files import read_json, write_json
from g2l.layer_names import DEFAULT_BACKBONE, LAYER_NAMES, named_rates
from g2l.layer_rates import named_values, rate_of, rates_of, read_layers, shown
from g2l.structure import DilationStructure, LayerTopology

SCHEMA = "g2l.structure/1"

LARGEST_FILE = 2**20
"""Bytes; a structure takes a few hundred to a few thousand."""


class Dialect(StrEnum):
    """How a structure is written down."""

    G2L = "g2l"
    OFFICIAL = "official"
    MMCV = "mmcv"


_SECTIONS = {Dialect.OFFICIAL: "model", Dialect.MMCV: "structure"}
"""Fields of the two dialects that map layers to rates."""

_WRAPPER = "module."
"""What mmcv's names begin with: those of the model inside its parallel wrapper."""

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


@dataclass(frozen=True, kw_only=True)
class StructureFile:
    """What a structure file says.

    Attributes:
        structure: Dilation rates.
        dialect: How it was written down.
        backbone: Name of the backbone it was found for, told by the names of its layers where the file does
            not say; None where neither does.
        causal: Whether it was found for the causal variant.
        provenance: How it was found, as JSON values; empty when the file does not say.
    """

    structure: DilationStructure
    dialect: Dialect = Dialect.G2L
    backbone: str | None = None
    causal: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def topology(self) -> LayerTopology:
        """How the convolutions of its network are connected; as in MS-TCN where the backbone is not known.

        Raises:
            InputError: The structure cannot be of this backbone.
        """
        return topology_of(self.backbone or DEFAULT_BACKBONE, self.structure.shape, causal=self.causal)


def read_structure(path: Path) -> StructureFile:
    """Read a structure file; the dialect is told by its fields.

    Raises:
        InputError: The file is missing, too large, not JSON, of none of the dialects, or a rate or layer
            in it is wrong; the field is named.
    """
    value = _read_object(path)
    dialect = _dialect(path, value)
    if dialect is Dialect.G2L:
        structure, named = _read_stages(path, value), None
    else:
        section = _SECTIONS[dialect]
        structure, named = read_layers(path, section, value[section], axes=dialect is Dialect.MMCV)
    backbone = named if value.get("backbone") is None else value["backbone"]
    causal, provenance = value.get("causal", False), value.get("provenance", {})
    if backbone is not None and not isinstance(backbone, str):
        raise InputError(f"{path}: `backbone` must be a name, but is {shown(backbone)} instead.")
    if named is not None and backbone in LAYER_NAMES and backbone != named:
        raise InputError(
            f"{path}: `backbone` is {backbone!r}, but the layers are named as those of {named!r}."
        )
    if not isinstance(causal, bool):
        raise InputError(f"{path}: `causal` must be true or false, but is {shown(causal)} instead.")
    if not isinstance(provenance, dict):
        raise InputError(f"{path}: `provenance` must be an object, but is {shown(provenance)} instead.")
    found = StructureFile(
        structure=structure, dialect=dialect, backbone=backbone, causal=causal, provenance=provenance
    )
    try:
        _ = found.topology
    except InputError as error:
        raise InputError(f"{path}: {error.message}") from None
    return found


def write_structure(
    path: Path,
    structure: DilationStructure,
    dialect: Dialect = Dialect.G2L,
    *,
    backbone: str | None = None,
    causal: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a structure file atomically.

    Args:
        path: The file.
        structure: Dilation rates.
        dialect: How to write it down. Other readers of the other dialects ignore what follows.
        backbone: Name of the backbone it was found for; None, and a user's own one, has the layer names of
            MS-TCN.
        causal: Whether it was found for the causal variant.
        provenance: How it was found, as JSON values, or None.

    Raises:
        InputError: The structure cannot be of this backbone.
        G2LError: The file cannot be written.
    """
    if dialect is Dialect.G2L:
        body: dict[str, Any] = {"schema": SCHEMA, "stages": structure.as_lists()}
    else:
        body = _by_layer({name: (rate,) for name, rate in named_rates(backbone, structure)}, dialect)
    about = {"provenance": dict(provenance or {})} | ({} if backbone is None else {"backbone": backbone})
    write_json(path, body | about | ({"causal": True} if causal else {}))


def read_layer_rates(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the rates of the layers of any network, as an official or an mmcv file names them.

    Args:
        path: The file. The name of mmcv's parallel wrapper, `module.`, is taken off.

    Returns:
        The rate of each layer, or its rate per axis where the file holds a list, in the order of the file.

    Raises:
        InputError: The file is missing, too large, not JSON, of another dialect, or a rate in it is wrong.
    """
    value = _read_object(path)
    dialect = _dialect(path, value)
    if dialect is Dialect.G2L:
        raise InputError(
            f"{path}: expected `model` (official) or `structure` (mmcv), but found `schema` (g2l).",
            hint="g2l structure convert writes the other two.",
        )
    section, mmcv = _SECTIONS[dialect], dialect is Dialect.MMCV
    rates: dict[str, tuple[int, ...]] = {}
    for name, found in named_values(path, section, value[section]).items():
        layer = name.removeprefix(_WRAPPER) if mmcv else name
        if layer in rates:
            raise InputError(f"{path}: `{section}` holds {shown(layer)} twice.")
        rates[layer] = rates_of(path, f"{section}.{name}", found, axes=mmcv)
    return rates


def write_layer_rates(path: Path, rates: Mapping[str, tuple[int, ...]], dialect: Dialect) -> None:
    """Write the rates of the layers of any network atomically.

    Args:
        path: The file.
        rates: Of each layer, by its name in the network, the rate per axis.
        dialect: Official or mmcv.

    Raises:
        InputError: The dialect is that of g2l, which knows stages only; there is no layer; or a rate is no
            integer >= 1.
        G2LError: The file cannot be written.
    """
    if dialect is Dialect.G2L:
        raise InputError("`dialect` must be official or mmcv, but is g2l instead.")
    for name, axes in named_values(path, "rates", dict(rates)).items():
        rates_of(path, name, list(axes), axes=True)
    write_json(path, _by_layer(rates, dialect))


def _by_layer(rates: Mapping[str, tuple[int, ...]], dialect: Dialect) -> dict[str, Any]:
    if dialect is Dialect.MMCV:
        return {_SECTIONS[dialect]: {f"{_WRAPPER}{name}": list(axes) for name, axes in rates.items()}}
    # A list of different numbers would be one of branches there.
    layers = {name: list(axes) if len(set(axes)) == 1 else [list(axes)] for name, axes in rates.items()}
    return {"global": _OFFICIAL_SETTINGS, _SECTIONS[dialect]: layers}


def _dialect(path: Path, value: Mapping[str, Any]) -> Dialect:
    for name, dialect in (("schema", Dialect.G2L), *((name, one) for one, name in _SECTIONS.items())):
        if name in value:
            return dialect
    raise InputError(
        f"{path}: expected `schema` (g2l), `model` (official) or `structure` (mmcv), but found "
        f"{shown(sorted(value))}.",
        hint="give a structure file, such as the structure.json of a search.",
    )


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
