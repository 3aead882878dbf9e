"""The page of measured context."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.context import Case, page


def record(*f1: float, needed: int) -> dict[str, Any]:
    points = [{"frames": 10 ** (index + 1), "scores": {"f1": one}} for index, one in enumerate(f1)]
    return {
        "points": points,
        "rises": [0.5] * len(f1),
        "error": 1.0,
        "needed": needed,
        "words": "Some.",
        "cpu_seconds": 600.0,
        "default_minutes": 90.0,
    }


@pytest.mark.parametrize(
    ("f1", "needed", "best", "enough"),
    [
        ((50.0, 70.0, 60.0), 1, "400 (as expected)", "400 (as expected)"),
        ((50.0, 60.0, 70.0), 1, "4,000 (otherwise)", "400 (as expected)"),
        ((70.0, 60.0, 50.0), 0, "40 (otherwise)", "40 (otherwise)"),
    ],
)
def test_receptive_fields_are_judged_in_samples_of_the_file(f1, needed, best, enough):
    case = Case("eye", 4, 127, 2047)
    line = page({case.key: record(*f1, needed=needed)}, [case]).splitlines()[6]
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[5:7] == [best, enough]
    assert cells[7:9] == ["10", "90"]


def test_a_case_that_did_not_run_is_not_measured():
    assert "not measured" in page({}, [Case("eye", 1, 1, 127)])
