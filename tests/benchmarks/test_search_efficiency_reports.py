"""The reports are written from made-up records and say what these mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.search_efficiency.correlation_report import write_correlation
from benchmarks.search_efficiency.efficiency import Curve
from benchmarks.search_efficiency.efficiency_report import Comparison, scores, verdicts, write_efficiency
from benchmarks.search_efficiency.problems import PROBLEMS
from benchmarks.search_efficiency.scores import ScoreTable
from benchmarks.search_efficiency.search import GENETIC, RANDOM
from benchmarks.search_efficiency.statistics import Spread
from benchmarks.search_efficiency.training import SIGNALS

PROBLEM = PROBLEMS["two_lags"]


def curve(arm: str, *means: float, spent: float) -> Curve:
    rows = np.array([[mean - 1.0, mean, mean + 1.0] for mean in means]).T
    return Curve(arm, rows, (("a",) * 3, ("b",) * 3, ("c",) * 3), np.full(3, spent))


@pytest.fixture
def comparison() -> Comparison:
    return Comparison(
        PROBLEM,
        15.0,
        0.5,
        (100, 1000, 10_000),
        (
            curve(GENETIC.name, 10, 20, 50, spent=10_000),
            curve(RANDOM.name, 10, 20, 40, spent=10_000),
            curve("clever", 20, 50, 50, spent=1600),
            curve("unlucky", 10, 10, 10, spent=1600),
        ),
        Spread(seeds=1.0, structures=4.0, p_value=0.001),
    )


def test_the_verdict_says_who_needs_how_much_and_who_is_below_random(comparison):
    lines = verdicts([comparison]).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[2] for row in cells] == [GENETIC.name, RANDOM.name, "clever", "unlucky"]
    assert [row[7] for row in cells] == ["100 %", "not reached", "10 %", "not reached"]
    assert [row[8] for row in cells] == ["100 %", "not reached", "10 %", "not reached"]
    assert [row[9] for row in cells] == ["nowhere", "nowhere", "nowhere", "1,000 steps, 10,000 steps"]
    assert all(row[1].startswith("yes: 4.0 against 1.0") for row in cells)
    assert cells[2][4] == "10"  # 1,600 steps in trainings of 160


def test_what_the_hand_designed_structure_reaches_takes_no_search(comparison):
    better = replace(comparison, hand_designed=49.5)
    assert verdicts([better]).count("| from the start: 2^l |") == 4  # to within a point, by every search


def test_scores_after_the_end_of_a_search_are_in_italics(comparison):
    lines = scores(comparison).splitlines()
    assert "| clever | 20.0 ± 0.6 | 50.0 ± 0.6 | *50.0 ± 0.6* |" in lines


def test_a_report_of_searches_is_written_with_its_plots(comparison, tmp_path):
    write_efficiency({"two_lags": comparison}, 2, tmp_path)
    assert "under 2 seeds" in (tmp_path / "EFFICIENCY.md").read_text()
    assert (tmp_path / "efficiency-two_lags.png").stat().st_size > 0


def test_a_report_of_scores_is_written_with_its_plots(tmp_path):
    generator = np.random.default_rng(0)
    keys = ("1,2,4,8", *(f"{rate},1,1,1" for rate in range(1, 12)))
    true = np.arange(12.0)[::-1]
    values = {
        (step, weights, part, signal): true * step + generator.normal(size=(3, 12))
        for step, part in ((10, "holdout"), (20, "holdout"), (20, "test"))
        for weights in ("raw", "0.9")
        for signal in SIGNALS
    }
    write_correlation({"two_lags": (PROBLEM, ScoreTable(keys, (0, 1, 2), values))}, tmp_path)
    text = (tmp_path / "CORRELATION.md").read_text()
    assert "| two_lags | 12 |" in text
    assert "1,2,4,8" in text
    assert (tmp_path / "correlation-two_lags.png").stat().st_size > 0
