"""The search space: which rates a layer may take (G2L, section 3.2), within limits of the receptive field.

A genome is the list of all rates. Its span is Σ over the layers of the largest rate side by side
(`g2l.structure`): where no rates are side by side, the sum of all. A limit of the receptive field or the
look-ahead is a limit of the span; `lower` repairs genomes that exceed it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from g2l.config import BackboneConfig, GlobalSearchConfig, LocalSearchConfig
from g2l.errors import InputError
from g2l.structure import DilationStructure, LayerTopology


@dataclass(frozen=True)
class SearchSpace:
    """All structures of one network whose rates come from one list, within limits where there are any.

    `shape` is rates per stage. The limits, in frames, are of the whole network; the look-ahead is how many
    later frames a label may depend on.

    Raises:
        InputError: A stage has no layer, the rates are empty, below 1 or not ascending, or even the
            smallest rates exceed a limit.
    """

    topology: LayerTopology
    shape: tuple[int, ...]
    rates: tuple[int, ...]
    max_receptive_field: int | None = None
    max_look_ahead: int | None = None

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise InputError(f"`shape` must hold layers per stage, each >= 1, but is {self.shape} instead.")
        ascending = all(low < high for low, high in zip(self.rates, self.rates[1:], strict=False))
        if not self.rates or self.rates[0] < 1 or not ascending:
            raise InputError(f"`rates` must be ascending integers >= 1, but is {self.rates} instead.")
        smallest = DilationStructure.from_rates([self.rates[0]] * self.genes, self.shape)
        reach = self.topology.receptive_field(smallest)
        limits = (
            ("max_receptive_field", self.max_receptive_field, reach.frames),
            ("max_look_ahead", self.max_look_ahead, reach.future),
        )
        for name, limit, least in limits:
            if limit is not None and limit < least:
                raise InputError(
                    f"`{name}` must be >= {least} frames, what {len(self.layers)} layers of rate "
                    f"{self.rates[0]} have, but is {limit} instead."
                )

    @classmethod
    def powers_of_two(
        cls,
        topology: LayerTopology,
        shape: Sequence[int],
        *,
        max_exponent: int,
        longest: int,
        max_receptive_field: int | None = None,
        max_look_ahead: int | None = None,
    ) -> SearchSpace:
        """Return the space {2^0 … 2^max_exponent} (10 in the paper) without the rates that are of no use.

        A tap at distance d ≥ T sees nothing but padding, so d is useful only below `longest`, the frames of
        the longest training sequence as the network sees it. And a rate that exceeds a limit even where all
        others are 1 is in no structure.
        """
        if max_exponent < 0:
            raise InputError(f"`max_exponent` must be >= 0, but is {max_exponent} instead.")
        if longest < 1:
            raise InputError(f"`longest` must be >= 1, but is {longest} instead.")
        powers = tuple(2**exponent for exponent in range(max_exponent + 1))
        short = tuple(rate for rate in powers if rate == 1 or rate < longest)
        space = cls(topology, tuple(shape), short, max_receptive_field, max_look_ahead)
        if space.max_span is None:
            return space
        most = space.max_span - (len(space.layers) - 1)
        return replace(space, rates=tuple(rate for rate in short if rate <= most))

    @property
    def layers(self) -> Layers:
        """Of each layer, the places of its rates in a genome."""
        return self.topology.layers(self.shape)

    @property
    def genes(self) -> int:
        """Number of rates of all stages: the length of a genome."""
        return sum(self.shape)

    @property
    def size(self) -> int:
        """Number of structures without the limits: no search evaluates more."""
        return int(len(self.rates) ** self.genes)

    @property
    def max_span(self) -> int | None:
        """Largest `LayerTopology.span` that keeps to both limits, or None where every structure does."""
        limit = self.topology.largest_span(self.max_receptive_field, self.max_look_ahead)
        return None if limit is None or limit >= len(self.layers) * self.rates[-1] else limit

    def contains(self, structure: DilationStructure) -> bool:
        """Tell whether `structure` is of this shape, made of these rates, and within the limits."""
        return (
            structure.shape == self.shape
            and set(structure.rates) <= set(self.rates)
            and (self.max_span is None or self.topology.span(structure) <= self.max_span)
        )

    def sample(self, generator: np.random.Generator) -> DilationStructure:
        """Return a random structure, every allowed rate equally likely in every layer.

        Where it exceeds the limits, it is drawn again without the largest rate, and so on: lowering its rates
        instead would make most draws alike. Deviation (METHOD, section 3, fix 3): uniform over the exponents;
        the released code is uniform over numbers, so that the two largest rates take 62 % of the draws.
        """
        for choices in range(len(self.rates), 1, -1):
            drawn = [self.rates[index] for index in generator.integers(choices, size=self.genes)]
            structure = DilationStructure.from_rates(drawn, self.shape)
            if self.contains(structure):
                return structure
        return DilationStructure.from_rates([self.rates[0]] * self.genes, self.shape)

    def project(self, structure: DilationStructure) -> DilationStructure:
        """Return `structure` with each rate lowered to the nearest allowed one, and fitted to the limits.

        So 2^l becomes the largest allowed rate where 2^l exceeds it. A rate below all allowed ones
        becomes the smallest.
        """
        if structure.shape != self.shape:
            raise InputError(
                f"`structure` must have stages of {self.shape} layers, but has {structure.shape} instead."
            )
        return self.from_rates([self.rates[max(0, bisect_right(self.rates, r) - 1)] for r in structure.rates])

    def from_rates(self, rates: Sequence[int]) -> DilationStructure:
        """Return the structure of this shape whose genome is `rates`, lowered to the limits by `lower`."""
        if self.max_span is not None:
            rates = lower(rates, self.rates, self.layers, self.max_span)
        return DilationStructure.from_rates(rates, self.shape)

    def as_dict(self) -> dict[str, Any]:
        """Return the space as JSON values; without limits that are not set and without a serial topology."""
        limits = {"max_receptive_field": self.max_receptive_field, "max_look_ahead": self.max_look_ahead}
        said: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None}
        if self.topology != LayerTopology():
            parallel = [self.topology.parallel, *(1,) * (len(self.shape) - 1)]
            said |= {"parallel": parallel, "causal": self.topology.causal}
        return {"shape": list(self.shape), "rates": list(self.rates), **said}


def check_limits(
    search: GlobalSearchConfig | LocalSearchConfig, backbone: BackboneConfig, shape: Sequence[int]
) -> None:
    """Raise `InputError` unless some structure of a backbone keeps to the limits of a search.

    `shape` is rates per stage. Even rates of 1 may exceed a limit, and a network that sees the whole video
    keeps none.
    """
    limits = {
        "max_receptive_field": search.max_receptive_field,
        "max_look_ahead": search.max_look_ahead,
    }
    for name, limit in limits.items():
        if limit is not None and backbone.topology.whole_video:
            raise InputError(
                f"`{name}` cannot be kept by {backbone.name}, whose normalisation sees the whole video."
            )
    SearchSpace(backbone.topology, tuple(shape), (1,), **limits)


Layers = tuple[tuple[int, ...], ...]
"""Of each layer, the places of its rates in a genome (`LayerTopology.layers`)."""


def lower(genome: Sequence[int], rates: tuple[int, ...], layers: Layers, limit: int) -> list[int]:
    """Return the genome with its largest rates lowered, one step at a time, until it keeps to the limit.

    The largest rate is lowered first, since its step frees most: with powers of two, none side by side, no
    other way needs fewer steps. Of equal ones the last is lowered first, so that the first stage, which alone
    sees the features, keeps its view. Side by side, all rates above the step are lowered to it.
    """
    lowered = list(genome)
    largest = [max(lowered[place] for place in layer) for layer in layers]
    excess = sum(largest) - limit
    while excess > 0:
        number = max(range(len(layers)), key=lambda layer: (largest[layer], layer))
        below = rates[bisect_left(rates, largest[number]) - 1]
        for place in layers[number]:
            lowered[place] = min(lowered[place], below)
        excess -= largest[number] - below
        largest[number] = below
    return lowered
