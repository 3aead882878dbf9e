"""Metrics of several runs as one line: mean over splits, mean ± std over seeds (METHOD, section 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from g2l.errors import InputError, brief


@dataclass(frozen=True)
class Summary:
    """A metric over several runs; `std` is the sample standard deviation, or None of a single run."""

    mean: float
    std: float | None
    runs: int

    def __str__(self) -> str:
        return f"{self.mean:.1f}" if self.std is None else f"{self.mean:.1f} ± {self.std:.1f}"


def mean_over_folds(folds: Sequence[Mapping[str, Summary]]) -> dict[str, Summary]:
    """Return the mean over folds of the means over seeds of each score, and their standard deviation."""
    scores = [name for name in folds[0] if name not in ("videos", "frames")]
    found = summarize([{name: fold[name].mean for name in scores} for fold in folds])
    return {name: replace(one, runs=sum(fold[name].runs for fold in folds)) for name, one in found.items()}


def summarize(runs: Sequence[Mapping[str, float]]) -> dict[str, Summary]:
    """Return mean and spread of each metric; InputError if there is no run, or they differ in metrics."""
    if not runs or any(run.keys() != runs[0].keys() for run in runs):
        raise InputError(f"`runs` must hold the same metrics of one run or more, but holds {brief(runs)}.")
    return {
        name: Summary(fmean(values), stdev(values) if len(values) > 1 else None, len(values))
        for name in runs[0]
        for values in [[float(run[name]) for run in runs]]
    }
