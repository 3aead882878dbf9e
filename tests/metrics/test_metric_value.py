from __future__ import annotations

import pytest

from g2l.config import FITNESS_METRICS
from g2l.errors import InputError
from g2l.metrics.accumulator import SegmentationMetrics
from g2l.metrics.fitness import metric_value

METRICS = {"accuracy": 80.0, "edit": 70.0, "f1@10": 90.0, "f1@25": 60.0, "f1@50": 30.0}


def test_any_metric_by_its_name():
    assert {name: metric_value(METRICS, name) for name in METRICS} == METRICS


def test_f1_is_the_mean_over_the_thresholds():
    assert metric_value(METRICS, "f1") == 60.0


@pytest.mark.parametrize("name", FITNESS_METRICS)
def test_every_configurable_fitness_is_computed(name):
    computed = SegmentationMetrics().compute()
    assert metric_value(computed, name) == 0.0


def test_an_unknown_metric_is_named():
    with pytest.raises(
        InputError, match=r"^`metric` must be one of f1, accuracy, edit, .*, but is 'mof' instead\.$"
    ):
        metric_value(METRICS, "mof")


def test_f1_of_metrics_that_lack_a_threshold():
    with pytest.raises(InputError, match="but is 'f1@25' instead"):
        metric_value({"f1@10": 1.0}, "f1")
