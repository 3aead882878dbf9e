"""What a record of a pipeline counts as, and that the null data have nothing to find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.null_search import coverage, independent_frames, page, share
from g2l.pipeline.contest import HAND_DESIGNED


def record(shipped: str, low: float, high: float, estimate: float = 0.0) -> dict[str, Any]:
    comparison = {"estimate": estimate, "low": low, "high": high, "verdict": "undecided"}
    return {
        "shipped": shipped,
        "duels": [{"pair": "global − hand-designed", **comparison}],
        "test": {"f1": comparison, "accuracy": comparison},
        "accuracy": {HAND_DESIGNED: 50.0, "searched": 50.0 + estimate},
        "cpu_seconds": 10.0,
    }


def test_neighbouring_frames_say_nothing_about_a_frame():
    data = independent_frames(0)
    labels = np.stack([video.labels for video in data.videos])  # (videos, frames)
    assert np.mean(labels[:, 1:] == labels[:, :-1]) == pytest.approx(0.25, abs=0.04)
    train, test = data.splits[1]
    assert not {name[:2] for name in train} & {name[:2] for name in test}


@pytest.mark.parametrize(
    ("shipped", "estimate", "wrong", "right"),
    [
        (HAND_DESIGNED, 40.0, "0 of 1", "0 of 1"),
        ("local", 40.0, "1 of 1", "1 of 1"),
        ("local", -1.0, "1 of 1", "0 of 1"),
    ],
)
def test_only_a_better_structure_counts_where_something_is_to_be_found(shipped, estimate, wrong, right):
    records = {f"{kind}/24/0": record(shipped, -1.0, 1.0, estimate) for kind in ("null", "lags")}
    lags, null = page(records).splitlines()[8:10]
    assert wrong in null
    assert right in lags


def test_an_interval_covers_what_it_holds():
    found = [{"low": -1.0, "high": 1.0}] * 3 + [{"low": 0.5, "high": 1.0}]
    assert coverage(found).startswith("75 % (3 of 4;")
    assert share(0, 0) == "not measured"
