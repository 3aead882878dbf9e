"""Rates by layer name: the body of the official G2L and the mmcv structure files."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.layer_names import DEFAULT_BACKBONE, LAYER_NAMES, LayerNames, backbone_of
from g2l.structure import DilationStructure

LARGEST_RATE = 2**24
"""Days of video at any frame rate: what lies above is a damaged file."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = 60


def read_layers(path: Path, section: str, layers: Any, *, axes: bool) -> tuple[DilationStructure, str]:
    """Return the structure of a file that names each layer, in whatever order, and the backbone named so.

    Args:
        path: The file, for errors.
        section: Its field, for errors.
        layers: The value of that field: layer names to rates.
        axes: See `rates_of`.

    Raises:
        InputError: A name or a rate is wrong, or a layer is missing or there twice.
    """
    values = named_values(path, section, layers)
    backbone = backbone_of(values)
    names = LAYER_NAMES[backbone or DEFAULT_BACKBONE]
    rates: dict[tuple[int, int], int] = {}
    for name, value in values.items():
        place = names.find(name)
        if place is None or backbone is None:
            raise InputError(
                f"{path}: `{section}` must hold layers such as {names.name(0, 0)} and "
                f"{names.name(len(names.first), 0)}, but holds {shown(name)}.",
                hint=f"the layers of {', '.join(LAYER_NAMES)} are known by their published names.",
            )
        if place in rates:
            raise InputError(f"{path}: `{section}` holds {names.name(*place)} twice.")
        rates[place] = _single_rate(path, f"{section}.{name}", value, axes=axes)
    return DilationStructure(_stages(path, section, rates, names)), backbone or DEFAULT_BACKBONE


def named_values(path: Path, section: str, layers: Any) -> dict[str, Any]:
    """Return the layers of a file with their values.

    Raises:
        InputError: There are none.
    """
    if not isinstance(layers, dict) or not layers:
        raise InputError(f"{path}: `{section}` must map layers to rates, but is {shown(layers)} instead.")
    return layers


def _stages(
    path: Path, section: str, rates: Mapping[tuple[int, int], int], names: LayerNames
) -> tuple[tuple[int, ...], ...]:
    """Return the rates stage by stage.

    Raises:
        InputError: A layer between the first and the last is missing.
    """
    depths: dict[int, int] = {}
    for column, layer in rates:
        depths[column] = max(depths.get(column, 0), layer + 1)
    side_by_side = range(len(names.first))
    deepest = max((depths.get(column, 0) for column in side_by_side), default=0)
    columns = []
    for column in range(max(len(names.first), max(depths) + 1)):
        depth = deepest if column in side_by_side else depths.get(column, 0)
        for layer in range(max(depth, 1)):
            if (column, layer) not in rates:
                raise InputError(f"{path}: `{section}` lacks {names.name(column, layer)}.")
        columns.append(tuple(rates[column, layer] for layer in range(depth)))
    first = tuple(rate for column in side_by_side for rate in columns[column])
    return (first, *columns[len(names.first) :])


def _single_rate(path: Path, name: str, value: Any, *, axes: bool) -> int:
    rates = rates_of(path, name, value, axes=axes)
    if len(set(rates)) > 1:
        raise InputError(
            f"{path}: `{name}` must hold one rate, but holds {shown([*rates])} instead.",
            hint="our networks have one axis; g2l.structure_files.read_layer_rates reads those of others.",
        )
    return rates[0]


def rates_of(path: Path, name: str, value: Any, *, axes: bool) -> tuple[int, ...]:
    """Return the rate of a layer, or its rate per axis.

    It is written as d; per axis as [d, e]; or as a list of branches, which may hold one, as [d] or [[d, e]].

    Args:
        path: The file, for errors.
        name: Its field, for errors.
        value: The value of that field.
        axes: Whether different numbers in one list are those of the axes (mmcv), not of branches (official).

    Raises:
        InputError: It is none of these, or has several branches.
    """
    if not isinstance(value, list):
        return (rate_of(path, name, value),)
    nested = bool(value) and all(isinstance(branch, list) for branch in value)
    branches, place = (value, f"{name}[0]") if nested else ([value], name)
    if len(branches) == 1:
        rates = tuple(rate_of(path, f"{place}[{axis}]", rate) for axis, rate in enumerate(branches[0]))
        if not rates:
            raise InputError(f"{path}: `{place}` must hold one rate, but is empty instead.")
        if axes or nested or len(set(rates)) == 1:
            return rates
    raise InputError(
        f"{path}: `{name}` must hold one rate, but holds {shown(value)} instead.",
        hint="it was saved with its branches expanded; give a file that was saved after an estimate.",
    )


def rate_of(path: Path, name: str, value: Any) -> int:
    """Return `value` if it is a rate.

    Raises:
        InputError: It is not; the file and the field `name` are named.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_RATE:
        raise InputError(
            f"{path}: `{name}` must be an integer in 1 … {LARGEST_RATE}, but is {shown(value)} instead."
        )
    return value


def shown(value: Any) -> str:
    """Return a value from a file on one short line; it may be huge, deep or hold line breaks."""
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
