"""One number out of many metrics: what a search ranks by and a training monitors."""

from __future__ import annotations

from collections.abc import Mapping

from g2l.errors import InputError
from g2l.metrics.f1 import F1_THRESHOLDS

MEAN_F1 = "f1"
"""Name of the mean of F1@{10,25,50} (METHOD, section 3: our default fitness)."""


def metric_value(metrics: Mapping[str, float], name: str) -> float:
    """Return the metric called `name`.

    Args:
        metrics: What `SegmentationMetrics.compute` returned.
        name: A key of `metrics`, or `f1` for the mean of F1@{10,25,50}.

    Raises:
        InputError: There is no such metric.
    """
    if name == MEAN_F1:
        return sum(metric_value(metrics, f"f1@{threshold}") for threshold in F1_THRESHOLDS) / len(
            F1_THRESHOLDS
        )
    if name not in metrics:
        known = ", ".join([MEAN_F1, *metrics])
        raise InputError(f"`metric` must be one of {known}, but is {name!r} instead.")
    return float(metrics[name])
