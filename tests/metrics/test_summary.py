from __future__ import annotations

import pytest

from g2l.errors import InputError
from g2l.metrics.summary import Summary, mean_over_folds, summarize


def test_mean_and_sample_deviation_over_seeds_and_folds():
    seeds = summarize([{"edit": 60.0}, {"edit": 62.0}, {"edit": 64.0}])
    assert seeds == {"edit": Summary(62.0, 2.0, 3)}
    assert str(seeds["edit"]) == "62.0 ± 2.0"
    single = summarize([{"edit": 66.0, "videos": 7}])
    assert str(single["edit"]) == "66.0"
    assert mean_over_folds([single, seeds | {"videos": Summary(5.0, None, 3)}]) == {
        "edit": Summary(64.0, pytest.approx(8**0.5), 4)
    }


@pytest.mark.parametrize("runs", [[], [{"edit": 1.0}, {"edit": 1.0, "f1@10": 1.0}]])
def test_runs_without_the_same_metrics_are_refused(runs):
    with pytest.raises(InputError, match=r"^`runs` must hold the same metrics"):
        summarize(runs)
