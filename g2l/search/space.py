"""The search space: which rates a layer may take (G2L, section 3.2)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from g2l.errors import InputError
from g2l.structure import DilationStructure


@dataclass(frozen=True)
class SearchSpace:
    """All structures of one shape whose rates come from one list.

    Args:
        shape: Layers per stage.
        rates: Allowed rates, ascending and distinct.

    Raises:
        InputError: A stage has no layer, or the rates are empty, below 1 or not ascending.
    """

    shape: tuple[int, ...]
    rates: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise InputError(f"`shape` must hold layers per stage, each >= 1, but is {self.shape} instead.")
        ascending = all(low < high for low, high in zip(self.rates, self.rates[1:], strict=False))
        if not self.rates or self.rates[0] < 1 or not ascending:
            raise InputError(f"`rates` must be ascending integers >= 1, but is {self.rates} instead.")

    @classmethod
    def powers_of_two(cls, shape: Sequence[int], *, max_exponent: int, longest: int) -> SearchSpace:
        """Return the space {2^0 … 2^max_exponent} without the rates that no sequence is long enough for.

        A tap at distance d ≥ T sees nothing but padding, so d is useful only below the longest T.

        Args:
            shape: Layers per stage.
            max_exponent: Largest exponent; 10 in the paper.
            longest: Frames of the longest training sequence, as the network sees it.

        Raises:
            InputError: `max_exponent` is below 0 or `longest` below 1.
        """
        if max_exponent < 0:
            raise InputError(f"`max_exponent` must be >= 0, but is {max_exponent} instead.")
        if longest < 1:
            raise InputError(f"`longest` must be >= 1, but is {longest} instead.")
        useful = (2**exponent for exponent in range(1, max_exponent + 1) if 2**exponent < longest)
        return cls(tuple(shape), (1, *useful))

    @property
    def genes(self) -> int:
        """Number of layers of all stages: the length of a genome."""
        return sum(self.shape)

    @property
    def size(self) -> int:
        """Number of structures in the space."""
        return int(len(self.rates) ** self.genes)

    def contains(self, structure: DilationStructure) -> bool:
        """Tell whether `structure` is of this shape and made of these rates."""
        return structure.shape == self.shape and set(structure.rates) <= set(self.rates)

    def sample(self, generator: np.random.Generator) -> DilationStructure:
        """Return a random structure; every allowed rate is equally likely in every layer.

        Deviation (METHOD, section 3, fix 3): uniform over the exponents, where the released code is
        uniform over numbers, which makes the two largest rates take 62 % of the draws.
        """
        indices = generator.integers(len(self.rates), size=self.genes)
        return self.from_rates([self.rates[index] for index in indices])

    def project(self, structure: DilationStructure) -> DilationStructure:
        """Return `structure` with each rate lowered to the nearest allowed one.

        So 2^l becomes the largest allowed rate where 2^l exceeds it. A rate below all allowed ones
        becomes the smallest.

        Raises:
            InputError: The structure has another shape.
        """
        if structure.shape != self.shape:
            raise InputError(
                f"`structure` must have stages of {self.shape} layers, but has {structure.shape} instead."
            )
        return self.from_rates([self.rates[max(0, bisect_right(self.rates, r) - 1)] for r in structure.rates])

    def from_rates(self, rates: Sequence[int]) -> DilationStructure:
        """Return the structure of this shape whose genome is `rates`."""
        return DilationStructure.from_rates(rates, self.shape)

    def as_dict(self) -> dict[str, list[int]]:
        """Return the space as JSON values."""
        return {"shape": list(self.shape), "rates": list(self.rates)}
