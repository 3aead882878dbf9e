"""How the published state dicts of our backbones name their dilated convolutions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from g2l.config import topology_of
from g2l.structure import DilationStructure

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
