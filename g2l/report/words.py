"""Numbers as a report shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean, stdev

from g2l.metrics.scores import F1_THRESHOLDS, MEAN_F1, metric_value
from g2l.structure import DilationStructure, LayerTopology

METRICS = ("accuracy", "edit", "f1@10", "f1@25", "f1@50", MEAN_F1)
NAMES = {
    "accuracy": "accuracy",
    "edit": "edit score",
    "f1@10": "F1@10",
    "f1@25": "F1@25",
    "f1@50": "F1@50",
    MEAN_F1: "mean F1",
    "likelihood": "likelihood",  # a fitness of 0.1.0
}
"""Names of the metrics for people; mean F1 is that of F1@10, @25 and @50."""


def points(value: float | None, *, plus: bool = False) -> str:
    """Return a score with one decimal and a true minus sign, a dash for None."""
    if value is None:
        return "–"
    rounded = round(value, 1) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:{'+' if plus else ''}.1f}".replace("-", "−")


def count(value: float) -> str:
    """Return a whole number with thousands apart."""
    return f"{round(value):,}"


def counted(number: int, what: str) -> str:
    """Return such as `1 seed` or `2 seeds`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def metric(metrics: Mapping[str, float | None], name: str) -> float | None:
    """Return a metric, or None where it was not measured or is not defined."""
    known = {key: value for key, value in metrics.items() if value is not None}
    needed = [f"f1@{threshold}" for threshold in F1_THRESHOLDS] if name == MEAN_F1 else [name]
    return metric_value(known, name) if known.keys() >= set(needed) else None


def scores(metrics: Mapping[str, float | None]) -> tuple[str, ...]:
    """Return all metrics of `METRICS` as text."""
    return tuple(points(metric(metrics, name)) for name in METRICS)


def spread(runs: Iterable[Mapping[str, float | None]]) -> tuple[str, ...]:
    """Return mean ± standard deviation of all metrics of `METRICS` over several runs, at least one."""
    known = list(runs)
    texts = []
    for name in METRICS:
        values = [value for value in (metric(metrics, name) for metrics in known) if value is not None]
        deviation = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
        texts.append(f"{points(fmean(values))}{deviation}" if len(values) == len(known) else "–")
    return tuple(texts)


def mean_of(runs: Iterable[Mapping[str, float | None]], name: str) -> float | None:
    """Return the mean of a metric over runs that have it."""
    found = [value for value in (metric(metrics, name) for metrics in runs) if value is not None]
    return fmean(found) if found else None


def frames(number: int, seconds_per_frame: float | None) -> str:
    """Return a number of frames as the network sees them, with seconds where they are known."""
    text = counted(number, "frame")
    return text if seconds_per_frame is None else f"{text} ({number * seconds_per_frame:.2f} s)"


def receptive_field(
    topology: LayerTopology, structure: DilationStructure, seconds_per_frame: float | None
) -> tuple[str, str]:
    """Return receptive field and look-ahead of a network in words."""
    seen = topology.receptive_field(structure)
    field, ahead = frames(seen.frames, seconds_per_frame), frames(seen.future, seconds_per_frame)
    return (f"whole video [{field}]", f"whole video [{ahead}]") if topology.whole_video else (field, ahead)


def shape_name(structure: DilationStructure) -> str:
    """Return the shape in short: `4×10`, or `8,5,5` for stages that differ."""
    first, *others = structure.shape
    return f"{len(others) + 1}×{first}" if set(others) <= {first} else ",".join(map(str, structure.shape))
