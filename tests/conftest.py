"""Settings that must be in place before torch is imported, here and in every process a test starts."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; more threads only wait for each other
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

# No test measures time, examples included: a loaded machine is no fault. What else CI sets is kept.
settings.register_profile("g2l", settings.default, deadline=None)
settings.load_profile("g2l")

LONGEST_FIRST = (
    "test_mlflow_run",
    "test_pages",
    "test_pipeline_kill",
    "test_pipeline_random_kills",
    "test_ray_executor",
)
"""Modules of minutes: when workers share the tests, none should be left with one of these at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest modules first; the order of all else stays."""
    items.sort(key=lambda item: item.path.stem not in LONGEST_FIRST)
