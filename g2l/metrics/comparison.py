"""Two structures compared seed by seed: what the difference is, and whether the seeds can show one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from g2l.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of two lists of scores.

    Attributes:
        mean: Mean difference, first minus second, in points.
        standard_error: Of that mean; None of a single seed.
        low: Lower end of the 95 % interval of the mean difference; None of a single seed.
        high: Upper end, likewise.
        seeds: Number of pairs.
    """

    mean: float
    standard_error: float | None
    low: float | None
    high: float | None
    seeds: int

    def words(self) -> str:
        """Return the result as the end of a sentence, such as `better by 2.1 ± 0.8 (…)`."""
        mean = _signed(self.mean, plus=True)
        if self.standard_error is None or self.low is None or self.high is None:
            return f"one seed cannot show a difference ({mean})"
        interval = f"95 % interval {_signed(self.low)} to {_signed(self.high)}"
        if self.low <= 0 <= self.high:
            return f"no difference that {self.seeds} seeds can show ({mean}, {interval})"
        size = f"{abs(self.mean):.1f} ± {self.standard_error:.1f}"
        return f"{'better' if self.mean > 0 else 'worse'} by {size} ({interval}, {self.seeds} seeds)"

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "mean": self.mean,
            "standard_error": self.standard_error,
            "low": self.low,
            "high": self.high,
            "seeds": self.seeds,
            "words": self.words(),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Return the comparison that `as_dict` wrote."""
        fields = ("mean", "standard_error", "low", "high", "seeds")
        return cls(**{name: value[name] for name in fields})


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Comparison:
    """Compare scores pair by pair.

    The interval is the percentile bootstrap of the mean difference, stretched about the mean by
    t·√(n / (n − 1)) / z, with the 97.5 % quantiles of Student's t with n − 1 degrees of freedom and of the
    normal distribution. Unstretched it is far too narrow for a handful of seeds: the bootstrap knows neither
    that its own spread is √((n − 1) / n) of the true one nor that the spread is itself a guess. Simulated
    coverage of the true mean by a nominal 95 %, for normal differences of n = 2, 3, 5 and 10 seeds: stretched
    93, 95, 95 and 94 %; plain percentile 51, 76, 84 and 90 %; BCa 51, 73, 84 and 90 %; bootstrap-t (none for
    2), 85, 95 and 94 %. For differences as skewed as a gamma distribution of shape 2: 91, 93, 92 and 93 %.

    Args:
        ours: One score per seed.
        theirs: Scores of the other under the same seeds, in the same order.

    Raises:
        InputError: The lists are empty or differ in length, or a score is not finite.
    """
    if len(ours) != len(theirs):
        raise InputError(f"`theirs` must hold {len(ours)} scores, but holds {len(theirs)} instead.")
    if not ours:
        raise InputError("`ours` must hold at least one score, but is empty instead.")
    if not all(map(math.isfinite, (*ours, *theirs))):
        raise InputError("`ours` and `theirs` must be finite, but are not.")
    # Sorted, so that not even the last bit depends on the order of the seeds.
    differences = sorted(first - second for first, second in zip(ours, theirs, strict=True))
    count = len(differences)
    mean = math.fsum(differences) / count
    if count == 1:
        return Comparison(mean, None, None, None, 1)
    error = float(np.std(differences, ddof=1)) / math.sqrt(count)
    low, high = _interval(differences, mean)
    return Comparison(mean, error, low, high, count)


def _interval(differences: Sequence[float], mean: float) -> tuple[float, float]:
    """Return the interval that `compare` describes."""
    from scipy import stats  # takes half a second to import

    found = stats.bootstrap(
        (np.array(differences),), np.mean, confidence_level=CONFIDENCE, method="percentile", rng=0
    ).confidence_interval
    count, tail = len(differences), (1 + CONFIDENCE) / 2
    quantile = float(stats.t.ppf(tail, count - 1)) / float(stats.norm.ppf(tail))
    stretch = quantile * math.sqrt(count / (count - 1))
    return mean - stretch * (mean - float(found.low)), mean + stretch * (float(found.high) - mean)


def _signed(value: float, *, plus: bool = False) -> str:
    """Return a number with a true minus sign, and none before 0.0."""
    rounded = round(value, 1) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:{'+' if plus else ''}.1f}".replace("-", "−")
