"""The arithmetic of the local search, from rates to branches and back (G2L, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from g2l.errors import InputError

Rates = tuple[int, ...]
"""One dilation rate per axis."""


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """How one rate becomes those of several branches.

    Three branches are (1 − ρ)d, d, (1 + ρ)d, larger odd numbers divide the same interval evenly, and two
    branches are (1 − ρ)d, (1 + ρ)d (RF-Next, section 3.3). Deviation from the released code: neighbours are
    at least 1 apart, because otherwise rates of 4 and less could never move with ρ = 0.1.

    Attributes:
        expansion_rate: ρ in (0, 1].
        branches: Number of branches, 2 or odd.
        max_rate: Largest rate allowed, >= 1.
        logarithmic: Whether branches are at d/(1 + ρ), d, (1 + ρ)d instead, equally far on both sides in
            proportion: next to a limit both come nearer, so that equal weights never move a rate.
    """

    expansion_rate: float
    branches: int
    max_rate: int
    logarithmic: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.expansion_rate <= 1:
            raise InputError(f"`expansion_rate` must be in (0, 1], but is {self.expansion_rate} instead.")
        if self.branches != 2 and (self.branches < 3 or self.branches % 2 == 0):
            raise InputError(f"`branches` must be 2 or an odd number >= 3, but is {self.branches} instead.")
        if self.max_rate < 1:
            raise InputError(f"`max_rate` must be >= 1, but is {self.max_rate} instead.")

    def clamp(self, rate: int) -> int:
        """Return the allowed rate that is nearest to `rate`."""
        return min(max(rate, 1), self.max_rate)

    def branch_rates(self, rates: Sequence[int], taps: Sequence[int]) -> tuple[Rates, ...]:
        """Return the branches around one rate per axis, ascending; an axis with one tap keeps its rate.

        Each axis is expanded by itself, and branch i takes the i-th rate of every axis, so that all axes grow
        or shrink together, as there is one weight per branch (RF-Next, section 3.3). Branches that the clamp
        makes equal in all axes are merged, so there may be fewer than `branches`.
        """
        axes = (
            self._spread(self.clamp(rate)) if size > 1 else [rate] * self.branches
            for rate, size in zip(rates, taps, strict=True)
        )
        return tuple(dict.fromkeys(zip(*axes, strict=True)))

    def _spread(self, centre: int) -> list[int]:
        """Return the rate of every branch along one axis, ascending; the clamp may make some equal."""
        half = self.branches // 2
        numbers = range(1, half + 1)
        if self.logarithmic:
            factor = 1 + self.expansion_rate
            if 1 < centre < self.max_rate:
                factor = min(factor, max(self.max_rate / centre, (centre + 1) / centre))
            above = [max(_round(centre * factor ** (n / half)), centre + n) for n in numbers]
            below = [min(_round(centre / factor ** (n / half)), centre - n) for n in numbers]
        else:
            offsets = [max(n, _round(self.expansion_rate * centre * n / half)) for n in numbers]
            above = [centre + offset for offset in offsets]
            below = [centre - offset for offset in offsets]
        middle = [centre] if self.branches % 2 else []
        return [self.clamp(rate) for rate in (*reversed(below), *middle, *above)]

    def expected_rate(self, rates: Sequence[int], weights: Sequence[float]) -> int:
        """Return the expectation of branch rates (of their logarithms), rounded and clamped.

        A tie keeps the smaller rate, so that the branches (1, 2) of a rate of 1 do not move untrained.
        """
        if self.logarithmic:
            return self.clamp(_round(math.exp(expectation([math.log(rate) for rate in rates], weights))))
        return self.clamp(_round(expectation(rates, weights)))


def expectation(values: Sequence[float], weights: Sequence[float]) -> float:
    """Return Σ w_i d_i (G2L, section 3.3)."""
    return math.fsum(weight * value for value, weight in zip(values, weights, strict=True))


def _round(value: float) -> int:
    return math.ceil(value - 0.5)
