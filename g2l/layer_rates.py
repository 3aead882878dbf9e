"""Rates by layer name: the body of the official G2L and the mmcv structure files."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.structure import DilationStructure

LARGEST_RATE = 2**24
"""Days of video at any frame rate: what lies above is a damaged file."""

_LAYER = re.compile(r"(?:module\.)?(?:stage1|stages\.(\d{1,3}))\.layers\.(\d{1,4})\.conv_dilated", re.ASCII)
"""Names of the dilated layers (METHOD, section 2); `module.` is what torch's parallel wrappers prepend."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = 60


def read_layers(path: Path, section: str, layers: Any) -> DilationStructure:
    """Return the structure of a file that names each layer, in whatever order.

    Args:
        path: The file, for errors.
        section: Its field, for errors.
        layers: The value of that field: layer names to rates.

    Raises:
        InputError: A name or a rate is wrong, or a layer is missing or there twice.
    """
    if not isinstance(layers, dict) or not layers:
        raise InputError(f"{path}: `{section}` must map layers to rates, but is {shown(layers)} instead.")
    rates: dict[tuple[int, int], int] = {}
    for name, value in layers.items():
        match = _LAYER.fullmatch(name)
        if match is None:
            raise InputError(
                f"{path}: `{section}` must hold layers such as {layer_name(0, 0)} and {layer_name(1, 0)}, "
                f"but holds {shown(name)}."
            )
        place = (0 if match[1] is None else int(match[1]) + 1, int(match[2]))
        if place in rates:
            raise InputError(f"{path}: `{section}` holds {layer_name(*place)} twice.")
        rates[place] = _single_rate(path, f"{section}.{name}", value)
    return DilationStructure(_stages(path, section, rates))


def _stages(path: Path, section: str, rates: Mapping[tuple[int, int], int]) -> tuple[tuple[int, ...], ...]:
    """Return the rates stage by stage.

    Raises:
        InputError: A layer between the first and the last is missing.
    """
    stages = []
    for stage in range(max(stage for stage, _ in rates) + 1):
        depth = max((layer for number, layer in rates if number == stage), default=0) + 1
        for layer in range(depth):
            if (stage, layer) not in rates:
                raise InputError(f"{path}: `{section}` lacks {layer_name(stage, layer)}.")
        stages.append(tuple(rates[stage, layer] for layer in range(depth)))
    return tuple(stages)


def _single_rate(path: Path, name: str, value: Any) -> int:
    """Return the rate of a layer that is written as d, [d] or, for each axis, [d, d]."""
    if not isinstance(value, list):
        return rate_of(path, name, value)
    rates = [rate_of(path, f"{name}[{number}]", rate) for number, rate in enumerate(value)]
    if not rates:
        raise InputError(f"{path}: `{name}` must hold one rate, but is empty instead.")
    if len(set(rates)) > 1:
        raise InputError(
            f"{path}: `{name}` must hold one rate, but holds {shown(rates)} instead.",
            hint="it was saved with its branches expanded; give a file that was saved after an estimate.",
        )
    return rates[0]


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


def layer_name(stage: int, layer: int) -> str:
    """Return the name that checkpoints give a dilated layer; both numbers count from 0."""
    prefix = "stage1" if stage == 0 else f"stages.{stage - 1}"
    return f"{prefix}.layers.{layer}.conv_dilated"


def shown(value: Any) -> str:
    """Return a value from a file on one short line; it may be huge, deep or hold line breaks."""
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
