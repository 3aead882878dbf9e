from __future__ import annotations

import pytest

from g2l.errors import InputError
from g2l.metrics.summary import Summary, summarize


def test_mean_and_sample_deviation_over_seeds():
    summary = summarize([{"edit": 60.0}, {"edit": 62.0}, {"edit": 64.0}])
    assert summary == {"edit": Summary(62.0, 2.0, 3)}
    assert str(summary["edit"]) == "62.0 ± 2.0"


def test_a_single_run_has_no_deviation():
    summary = summarize([{"edit": 60.0, "accuracy": 70}])
    assert summary == {"edit": Summary(60.0, None, 1), "accuracy": Summary(70.0, None, 1)}
    assert str(summary["edit"]) == "60.0"


def test_no_run_is_refused():
    with pytest.raises(InputError, match=r"^`runs` must hold the metrics of at least one run, but is empty"):
        summarize([])


def test_runs_with_other_metrics_are_refused():
    with pytest.raises(
        InputError, match=r"^`runs\[1\]` must have the metrics edit, but has edit, f1@10 instead\.$"
    ):
        summarize([{"edit": 1.0}, {"edit": 1.0, "f1@10": 1.0}])
