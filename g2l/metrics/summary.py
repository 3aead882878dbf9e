"""Metrics of several runs as one line: mean over splits, mean ± std over seeds (METHOD, section 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from g2l.errors import InputError


@dataclass(frozen=True)
class Summary:
    """A metric over several runs.

    Attributes:
        mean: Mean over the runs.
        std: Sample standard deviation (divisor runs − 1), or None of a single run.
        runs: Number of runs.
    """

    mean: float
    std: float | None
    runs: int

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if self.std is None else f"{self.mean:.1f} ± {self.std:.1f}"


def mean_over_folds(folds: Sequence[Mapping[str, Summary]]) -> dict[str, Summary]:
    """Return the mean over folds of the means over seeds of each score, and their standard deviation.

    Args:
        folds: Metrics of each fold; all with the same keys. Numbers of videos and frames are left out.
    """
    found = {}
    for name in folds[0]:
        if name not in ("videos", "frames"):
            means = [fold[name].mean for fold in folds]
            runs = sum(fold[name].runs for fold in folds)
            found[name] = Summary(fmean(means), stdev(means) if len(means) > 1 else None, runs)
    return found


def summarize(runs: Sequence[Mapping[str, float]]) -> dict[str, Summary]:
    """Return mean and spread of each metric.

    Args:
        runs: Metrics of each seed or split; all with the same keys.

    Raises:
        InputError: There is no run, or the runs have different metrics.
    """
    if not runs:
        raise InputError("`runs` must hold the metrics of at least one run, but is empty instead.")
    names = list(runs[0])
    for number, run in enumerate(runs):
        if set(run) != set(names):
            raise InputError(
                f"`runs[{number}]` must have the metrics {', '.join(names)}, "
                f"but has {', '.join(run)} instead."
            )
    return {
        name: Summary(fmean(values), stdev(values) if len(values) > 1 else None, len(values))
        for name in names
        for values in [[float(run[name]) for run in runs]]
    }
