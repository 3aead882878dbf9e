"""The page of shipped shapes."""

from __future__ import annotations

from typing import Any

from benchmarks.shapes import CASES, HAND, SHIPPED, USUAL, page, row

CASE = CASES[0]


def scores(f1: float, true_positives: int) -> dict[str, Any]:
    counts = [[true_positives, 10 - true_positives, 10 - true_positives]] * 3
    video = {"correct": 50, "frames": 100, "edit": 50.0, "f1": counts}
    return {"f1": f1, "videos": {"S1_a": video, "S1_b": video}, "train_seconds": 8.0, "milliseconds": 5.0}


def cell(shipped: int) -> dict[str, Any]:
    return {
        "name": "8,5,5",
        "reason": "Shown.",
        "cost": 0.5,
        "epochs": {SHIPPED: 40, HAND: 80, USUAL: 50},
        "training_equivalents": 4.8,
        "search_seconds": 100.0,
        "scores": {HAND: scores(50.0, 5), USUAL: scores(40.0, 4), SHIPPED: scores(10.0 * shipped, shipped)},
    }


def test_a_row_compares_what_is_shipped_with_4x10_at_its_own_length():
    cells = {f"{CASE.dataset}/1/{seed}": cell(7) for seed in range(2)}
    line = row(CASE, cells)
    assert "| 2 of 9 | 40.0 | 50.0 | 70.0 | 8,5,5 | better by 20.0" in line
    assert line.endswith("| 0.50 | 8 → 8 | 5 → 5 | 4.8 | 100 |")


def test_sets_that_did_not_run_are_listed_and_have_as_many_columns():
    lines = page({f"{CASE.dataset}/1/0": cell(5)}).splitlines()
    table = [line for line in lines if line.startswith("|")][: 2 + len(CASES)]
    assert len({line.count("|") for line in table}) == 1
    assert sum("not measured" in line for line in table) == len(CASES) - 1
