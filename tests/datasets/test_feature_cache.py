from __future__ import annotations

import numpy as np

from g2l.datasets.cache import FeatureCache

QUARTER = np.zeros((64, 1024), np.float32)  # 0.25 MiB


def test_the_least_recently_used_leave_first() -> None:
    cache = FeatureCache(1)
    for name in "abcd":
        cache.put(name, QUARTER)
    assert cache.get("a") is QUARTER
    cache.put("e", QUARTER)
    assert cache.get("b") is None
    assert all(cache.get(name) is QUARTER for name in "acde")


def test_what_does_not_fit_is_not_kept_and_drops_nothing() -> None:
    cache = FeatureCache(1)
    cache.put("a", QUARTER)
    cache.put("large", np.zeros((1, 2**19), np.float32))
    assert cache.get("large") is None
    assert cache.get("a") is QUARTER


def test_no_budget_keeps_nothing() -> None:
    cache = FeatureCache(0)
    cache.put("a", QUARTER)
    assert cache.get("a") is None
