"""The arithmetic of the local search, from rates to branches and back (G2L, section 3.3), and its endings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from g2l.errors import InputError

Rates = tuple[int, ...]
"""One dilation rate per axis."""


class Ending(StrEnum):
    """Form of a layer after the search (RF-Next, section 3.4)."""

    SINGLE = "single"
    """One rate is left: the expectation."""
    MULTIPLE = "multiple"
    """The branches stay where they are; their weights are reset and trained further."""
    MERGE = "merge"
    """The branches become one dense kernel with the same output."""


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

    Raises:
        InputError: A number is out of range.
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
        """Return the branches around one rate per axis.

        Each axis is expanded by itself, and branch i takes the i-th rate of every axis, so that all axes grow
        or shrink together, as there is one weight per branch (RF-Next, section 3.3).

        Args:
            rates: The present rate of each axis; one that is not allowed is clamped.
            taps: Kernel size of each axis. One with a single tap has no rate to expand.

        Returns:
            Distinct branches, ascending, with rates in [1, max_rate]. Those that the clamp makes equal in all
            axes are merged, so there may be fewer than `branches`.
        """
        axes = (
            self._spread(rate) if size > 1 else [rate] * self.branches
            for rate, size in zip(rates, taps, strict=True)
        )
        return tuple(dict.fromkeys(zip(*axes, strict=True)))

    def _spread(self, rate: int) -> list[int]:
        """Return the rate of every branch along one axis, ascending; the clamp may make some equal."""
        centre = self.clamp(rate)
        half = self.branches // 2
        if self.logarithmic:
            return self._log_spread(centre, half)
        reach = self.expansion_rate * centre
        offsets = [max(number, _round(reach * number / half)) for number in range(1, half + 1)]
        middle = [0] if self.branches % 2 else []
        spread = [*(-offset for offset in reversed(offsets)), *middle, *offsets]
        return [self.clamp(centre + offset) for offset in spread]

    def _log_spread(self, centre: int, half: int) -> list[int]:
        factor = 1 + self.expansion_rate
        if 1 < centre < self.max_rate:
            factor = min(factor, max(self.max_rate / centre, (centre + 1) / centre))
        above = [max(_round(centre * factor ** (n / half)), centre + n) for n in range(1, half + 1)]
        below = [min(_round(centre / factor ** (n / half)), centre - n) for n in range(1, half + 1)]
        middle = [centre] if self.branches % 2 else []
        return [self.clamp(rate) for rate in (*reversed(below), *middle, *above)]


def expectation(rates: Sequence[int], weights: Sequence[float]) -> float:
    """Return Σ w_i d_i (G2L, section 3.3)."""
    return math.fsum(weight * rate for rate, weight in zip(rates, weights, strict=True))


def expected_rate(rates: Sequence[int], weights: Sequence[float], *, max_rate: int) -> int:
    """Return the expectation as a rate: rounded, then clamped to [1, max_rate].

    A tie keeps the smaller rate, so that the branches (1, 2) of a rate of 1 do not move untrained.
    """
    return min(max(_round(expectation(rates, weights)), 1), max_rate)


def expected_log_rate(rates: Sequence[int], weights: Sequence[float], *, max_rate: int) -> int:
    """Return the rate whose logarithm is the expectation of the branches' logarithms; see `expected_rate`."""
    mean = math.fsum(weight * math.log(rate) for rate, weight in zip(rates, weights, strict=True))
    return min(max(_round(math.exp(mean)), 1), max_rate)


def _round(value: float) -> int:
    return math.ceil(value - 0.5)
