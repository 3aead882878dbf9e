"""Structure files in three dialects: ours, the official G2L one, and that of mmcv's rfsearch.

The last two map layer names to rates, so they can hold those of any network (`read_layer_rates`).
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from g2l.config import topology_of
from g2l.errors import InputError
from g2l.files import read_json, write_json
from g2l.structure import DilationStructure, LayerTopology

DEFAULT_BACKBONE = "ms-tcn"
"""Whose names are used for a user's own backbone, which is like it."""


@dataclass(frozen=True)
class LayerNames:
    """Names of the dilated convolutions of one backbone.

    A column is a list of consecutive names: each later stage is one, and so is the first stage, unless its
    layers have several convolutions side by side, as in MS-TCN++. Stages and layers count from 0.
    """

    first: tuple[str, ...]
    """Names in the first stage, one for each convolution side by side."""
    later: str
    """Name in the other stages."""

    def name(self, column: int, layer: int) -> str:
        """Return the name of a convolution."""
        if column < len(self.first):
            return self.first[column].format(layer=layer)
        return self.later.format(stage=column - len(self.first), layer=layer)

    def find(self, name: str) -> tuple[int, int] | None:
        """Return column and layer of a name, or None where it belongs to another network."""
        for column, pattern in enumerate(self._patterns):
            if match := pattern.fullmatch(name):
                numbers = {key: int(value) for key, value in match.groupdict().items()}
                return column + numbers.get("stage", 0), numbers["layer"]
        return None

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        places = {"stage": r"(?P<stage>\d{1,3})", "layer": r"(?P<layer>\d{1,4})"}
        texts = (name.replace(".", r"\.").format(**places) for name in (*self.first, self.later))
        # torch's parallel wrappers prepend `module.`
        return [re.compile(rf"(?:module\.)?{text}", re.ASCII) for text in texts]


LAYER_NAMES = {
    "ms-tcn": LayerNames(
        ("stage1.layers.{layer}.conv_dilated",), "stages.{stage}.layers.{layer}.conv_dilated"
    ),
    "ms-tcn++": LayerNames(
        ("PG.conv_dilated_1.{layer}", "PG.conv_dilated_2.{layer}"), "Rs.{stage}.layers.{layer}.conv_dilated"
    ),
    "asformer": LayerNames(
        ("encoder.layers.{layer}.feed_forward.layer.0",),
        "decoders.{stage}.layers.{layer}.feed_forward.layer.0",
    ),
}


def named_rates(backbone: str | None, structure: DilationStructure) -> Iterator[tuple[str, int]]:
    """Yield name and rate of every dilated convolution, in the order of the structure.

    Without a backbone, and for a user's own one, names are those of MS-TCN.
    """
    names = LAYER_NAMES.get(backbone or DEFAULT_BACKBONE, LAYER_NAMES[DEFAULT_BACKBONE])
    stages = topology_of(backbone or DEFAULT_BACKBONE).columns(structure)
    for column, rates in enumerate(column for stage in stages for column in stage):
        yield from ((names.name(column, layer), rate) for layer, rate in enumerate(rates))


def backbone_of(names: Iterable[str]) -> str | None:
    """Return the backbone of which one of the names is, or None."""
    known = ((name, backbone) for name in names for backbone in LAYER_NAMES)
    return next((backbone for name, backbone in known if LAYER_NAMES[backbone].find(name)), None)


SCHEMA = "g2l.structure/1"

LARGEST_FILE = 2**20
"""Bytes; a structure takes a few hundred to a few thousand."""
LARGEST_RATE = 2**24
"""Days of video at any frame rate: larger numbers mean a corrupted file."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = 60


class Dialect(StrEnum):
    """Format of a structure file."""

    G2L = "g2l"
    OFFICIAL = "official"
    MMCV = "mmcv"


_SECTIONS = {Dialect.OFFICIAL: "model", Dialect.MMCV: "structure"}
"""Fields of the two dialects that map layers to rates."""

_ABOUT: dict[str, tuple[type, str]] = {
    "backbone": (str, "a name"),
    "causal": (bool, "true or false"),
    "provenance": (dict, "an object"),
}
"""Fields that a file of any dialect may hold beside its rates."""

_WRAPPER = "module."
"""Prefix of mmcv's names: those of the model inside its parallel wrapper."""

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
    """The content of a structure file."""

    structure: DilationStructure
    dialect: Dialect = Dialect.G2L
    backbone: str | None = None
    """Backbone it was found for, inferred from the names of its layers where the file does not name it."""
    causal: bool = False
    """Whether it was found for the causal variant."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """How it was found, as JSON values."""

    @property
    def topology(self) -> LayerTopology:
        """How the convolutions of its network are connected; as in MS-TCN where the backbone is not known."""
        return topology_of(self.backbone or DEFAULT_BACKBONE, causal=self.causal)


def read_structure(path: Path) -> StructureFile:
    """Read a structure file of any dialect; errors name the field."""
    value, dialect = _read(path)
    if dialect is Dialect.G2L:
        structure, named = _read_stages(path, value), None
    else:
        structure, named = _read_layers(path, dialect, value[_SECTIONS[dialect]])
    about: dict[str, Any] = {name: value.get(name) for name in _ABOUT if value.get(name) is not None}
    for name, found in about.items():
        kind, expected = _ABOUT[name]
        if not isinstance(found, kind):
            raise InputError(f"{path}: `{name}` must be {expected}, but is {_shown(found)} instead.")
    backbone = about.setdefault("backbone", named)
    if named is not None and backbone in LAYER_NAMES and backbone != named:
        raise InputError(
            f"{path}: `backbone` is {backbone!r}, but the layers are named as those of {named!r}."
        )
    file = StructureFile(structure=structure, dialect=dialect, **about)
    try:
        file.topology.columns(structure)
    except InputError as error:
        raise InputError(f"{path}: {error.message}") from None
    return file


def write_structure(
    path: Path,
    structure: DilationStructure,
    dialect: Dialect = Dialect.G2L,
    *,
    backbone: str | None = None,
    causal: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a structure file atomically; the keywords are those of `StructureFile`."""
    if dialect is Dialect.G2L:
        body: dict[str, Any] = {"schema": SCHEMA, "stages": structure.as_lists()}
    else:
        body = _by_layer({name: (rate,) for name, rate in named_rates(backbone, structure)}, dialect)
    about = {"provenance": dict(provenance or {})} | ({} if backbone is None else {"backbone": backbone})
    write_json(path, body | about | ({"causal": True} if causal else {}))


def read_layer_rates(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the rates per axis of the layers of any network, as an official or an mmcv file names them.

    They are in the order of the file; the prefix of mmcv's parallel wrapper, `module.`, is removed.
    """
    value, dialect = _read(path)
    if dialect is Dialect.G2L:
        raise InputError(
            f"{path}: expected `model` (official) or `structure` (mmcv), but found `schema` (g2l).",
            hint="g2l structure convert writes the other two.",
        )
    section, mmcv = _SECTIONS[dialect], dialect is Dialect.MMCV
    rates: dict[str, tuple[int, ...]] = {}
    for name, found in _named_values(path, section, value[section]).items():
        layer = name.removeprefix(_WRAPPER) if mmcv else name
        if layer in rates:
            raise InputError(f"{path}: `{section}` holds {_shown(layer)} twice.")
        rates[layer] = _rates_of(path, f"{section}.{name}", found, axes=mmcv)
    return rates


def write_layer_rates(path: Path, rates: Mapping[str, tuple[int, ...]], dialect: Dialect) -> None:
    """Write the rates per axis of the layers of any network atomically, in the official or mmcv dialect."""
    if dialect is Dialect.G2L:
        raise InputError("`dialect` must be official or mmcv, but is g2l instead.")
    for name, axes in _named_values(path, "rates", dict(rates)).items():
        _rates_of(path, name, list(axes), axes=True)
    write_json(path, _by_layer(rates, dialect))


def _by_layer(rates: Mapping[str, tuple[int, ...]], dialect: Dialect) -> dict[str, Any]:
    if dialect is Dialect.MMCV:
        return {_SECTIONS[dialect]: {f"{_WRAPPER}{name}": list(axes) for name, axes in rates.items()}}
    # A list of different numbers would mean branches there.
    layers = {name: list(axes) if len(set(axes)) == 1 else [list(axes)] for name, axes in rates.items()}
    return {"global": _OFFICIAL_SETTINGS, _SECTIONS[dialect]: layers}


def _read(path: Path) -> tuple[dict[str, Any], Dialect]:
    """Return the JSON object of a file, and the dialect that its fields show."""
    if path.is_file() and path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path}: expected a structure file of at most {LARGEST_FILE} bytes.")
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, but found {_shown(value)}.")
    for name, dialect in (("schema", Dialect.G2L), *((name, one) for one, name in _SECTIONS.items())):
        if name in value:
            return value, dialect
    raise InputError(
        f"{path}: expected `schema` (g2l), `model` (official) or `structure` (mmcv), but found "
        f"{_shown(sorted(value))}.",
        hint="give a structure file, such as the structure.json of a search.",
    )


def _read_stages(path: Path, value: Mapping[str, Any]) -> DilationStructure:
    if value["schema"] != SCHEMA:
        raise InputError(f"{path}: `schema` must be {SCHEMA!r}, but is {_shown(value['schema'])} instead.")
    stages = value.get("stages")
    if not isinstance(stages, list) or not all(isinstance(stage, list) for stage in stages):
        raise InputError(f"{path}: `stages` must be lists of rates, but is {_shown(stages)} instead.")
    for number, stage in enumerate(stages):
        for layer, rate in enumerate(stage):
            _rate_of(path, f"stages[{number}][{layer}]", rate)
    try:
        return DilationStructure(tuple(tuple(stage) for stage in stages))
    except InputError as error:  # empty ones
        raise InputError(f"{path}: {error.message}") from None


def _read_layers(path: Path, dialect: Dialect, layers: Any) -> tuple[DilationStructure, str]:
    """Return the structure of a map of layer names to rates, in any order, and the backbone named so."""
    section = _SECTIONS[dialect]
    values = _named_values(path, section, layers)
    names_of = backbone_of(values) or DEFAULT_BACKBONE
    names = LAYER_NAMES[names_of]
    rates: dict[tuple[int, int], int] = {}
    for name, value in values.items():
        if (place := names.find(name)) is None:
            raise InputError(
                f"{path}: `{section}` must hold layers such as {names.name(0, 0)} and "
                f"{names.name(len(names.first), 0)}, but holds {_shown(name)}.",
                hint=f"the layers of {', '.join(LAYER_NAMES)} are known by their published names.",
            )
        if place in rates:
            raise InputError(f"{path}: `{section}` holds {names.name(*place)} twice.")
        axes = _rates_of(path, f"{section}.{name}", value, axes=dialect is Dialect.MMCV)
        if len(set(axes)) > 1:
            raise InputError(
                f"{path}: `{section}.{name}` must hold one rate, but holds {_shown([*axes])} instead.",
                hint="our networks have one axis; g2l.structure_files.read_layer_rates reads others.",
            )
        rates[place] = axes[0]
    width = len(names.first)
    depths = [1] * max(width, max(rates)[0] + 1)
    for column, layer in rates:
        depths[column] = max(depths[column], layer + 1)
    depths[:width] = [max(depths[:width])] * width  # side by side, so they are equally deep
    places = [(column, layer) for column, depth in enumerate(depths) for layer in range(depth)]
    for place in places:
        if place not in rates:
            raise InputError(f"{path}: `{section}` lacks {names.name(*place)}.")
    shape = (sum(depths[:width]), *depths[width:])
    return DilationStructure.from_rates([rates[place] for place in places], shape), names_of


def _named_values(path: Path, section: str, layers: Any) -> dict[str, Any]:
    if not isinstance(layers, dict) or not layers:
        raise InputError(f"{path}: `{section}` must map layers to rates, but is {_shown(layers)} instead.")
    return layers


def _rates_of(path: Path, name: str, value: Any, *, axes: bool) -> tuple[int, ...]:
    """Return the rate of a layer, or its rate per axis.

    The value is d; per axis [d, e]; or a list of branches, which may hold one: [d] or [[d, e]]. `axes` tells
    whether different numbers in one list are those of the axes (mmcv) or of branches (official).
    """
    if not isinstance(value, list):
        return (_rate_of(path, name, value),)
    nested = bool(value) and all(isinstance(branch, list) for branch in value)
    branches, place = (value, f"{name}[0]") if nested else ([value], name)
    if len(branches) == 1:
        rates = tuple(_rate_of(path, f"{place}[{axis}]", rate) for axis, rate in enumerate(branches[0]))
        if not rates:
            raise InputError(f"{path}: `{place}` must hold one rate, but is empty instead.")
        if axes or nested or len(set(rates)) == 1:
            return rates
    raise InputError(
        f"{path}: `{name}` must hold one rate, but holds {_shown(value)} instead.",
        hint="it was saved with its branches expanded; give a file that was saved after an estimate.",
    )


def _rate_of(path: Path, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_RATE:
        raise InputError(
            f"{path}: `{name}` must be an integer in 1 … {LARGEST_RATE}, but is {_shown(value)} instead."
        )
    return value


def _shown(value: Any) -> str:
    """Return a value from a file, which may be huge, deep or hold line breaks, on one short line."""
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
