"""Comparing two ways of doing a thing on a machine whose speed drifts: always in pairs, within one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True)
class Ratio:
    """How long A took relative to B.

    Attributes:
        median: Median over the pairs of seconds of A / seconds of B; above 1 means that B is faster.
        low: Smallest ratio of a pair.
        high: Largest ratio of a pair.
        a_seconds: Median seconds of one call of A.
        b_seconds: Median seconds of one call of B.
    """

    median: float
    low: float
    high: float
    a_seconds: float
    b_seconds: float

    def __str__(self) -> str:
        return (
            f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f}): "
            f"{self.a_seconds * 1e3:.1f} ms / {self.b_seconds * 1e3:.1f} ms"
        )


def paired(
    a: Callable[[], object],
    b: Callable[[], object],
    *,
    pairs: int,
    warmup: int,
    clock: Callable[[], float] = perf_counter,
) -> Ratio:
    """Time `a` and `b` alternately, swapping which goes first, and compare them pair by pair.

    Args:
        a: The way that is compared, usually the plain one.
        b: The way it is compared with.
        pairs: Timed calls of each.
        warmup: Untimed calls of each before them.
        clock: Returns seconds; `time.process_time` where other processes use the cores too.
    """
    for _ in range(warmup):
        a()
        b()
    seconds = []
    for number in range(pairs):
        if number % 2:
            b_seconds = _seconds(b, clock)
            a_seconds = _seconds(a, clock)
        else:
            a_seconds = _seconds(a, clock)
            b_seconds = _seconds(b, clock)
        seconds.append((a_seconds, b_seconds))
    ratios = [first / second for first, second in seconds]
    return Ratio(
        median=median(ratios),
        low=min(ratios),
        high=max(ratios),
        a_seconds=median(first for first, _ in seconds),
        b_seconds=median(second for _, second in seconds),
    )


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start
