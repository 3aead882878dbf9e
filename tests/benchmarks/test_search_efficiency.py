"""What a search would have answered, what that is worth, and how it compares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.search_efficiency.judge import (
    Curve,
    below,
    incumbent_at,
    incumbents,
    reported_budgets,
    share_of_paper,
)
from benchmarks.search_efficiency.problems import PROBLEMS
from benchmarks.search_efficiency.report import Comparison, scores, table, verdicts, write_efficiency
from benchmarks.search_efficiency.search import GENETIC, RANDOM, Records, read_records
from g2l.structure import DilationStructure


def event(steps: int, rate: int, fitness: float, **changes: object) -> dict:
    usual = {"kind": "evaluation", "budget": 40, "seed": 0}
    return usual | {"steps": steps, "structure": [[rate]], "fitness": fitness} | changes


def changes_of_mind(*events: dict) -> list[tuple[int, str]]:
    return [(steps, structure.key) for steps, structure in incumbents(events)]


def test_the_best_score_is_the_incumbent():
    events = event(40, 1, 50), event(80, 2, 40), event(120, 4, 60), event(160, 8, 60)
    assert changes_of_mind(*events) == [(40, "1"), (120, "4")]


def test_the_leader_that_a_strategy_names_counts_whatever_its_score():
    events = event(40, 1, 50), event(80, 2, 40), event(80, 2, 40, kind="leader"), event(120, 4, 45)
    assert changes_of_mind(*events) == [(40, "1"), (80, "2"), (120, "4")]


@pytest.mark.parametrize("difference", [{"budget": 20}, {"seed": 1}])
def test_a_score_of_another_kind_of_training_beats_nothing(difference):
    assert changes_of_mind(event(40, 1, 50), event(80, 2, 90, **difference)) == [(40, "1")]


def test_the_incumbent_at_a_budget_is_the_last_one_within_it():
    events = [event(40, 1, 50), event(80, 2, 60)]
    first = DilationStructure(((7,),))
    assert incumbent_at(events, 39, first) == first
    assert incumbent_at(events, 79, first).key == "1"
    assert incumbent_at(events, 10_000, first).key == "2"


def curve(*rows: list[float], answers: str = "abc") -> Curve:
    named = tuple((answers[number],) * len(row) for number, row in enumerate(rows))
    return Curve("some", np.array(rows), named, np.full(len(rows), 1000.0))


def test_the_share_is_that_of_the_first_budget_whose_mean_reaches_the_goal():
    some = curve([10, 30, 30], [20, 30, 50])
    assert share_of_paper(some, [10, 100, 1000], goal=30) == 0.1
    assert share_of_paper(some, [10, 100, 1000], goal=41) is None
    assert share_of_paper(curve([np.nan, 30], [10, 30]), [10, 1000], goal=5) == 1
    assert share_of_paper(some, [10, 20, 10_000], goal=35) == 0.1  # it had ended after 1,000


def test_below_means_by_more_than_the_noise_of_both():
    low, high = curve([10, 10, 10], [12, 12, 12]), curve([11, 30, 12], [13, 34, 14], answers="xyz")
    assert below(low, high, [10, 100, 1000], judging=0) == [100]
    assert below(low, high, [10, 2000, 3000], judging=0) == []  # the other one had ended after 1,000


def test_searches_that_answer_alike_share_the_noise_of_their_judgement():
    low, high = curve([10], [10], answers="aa"), curve([20], [20], answers="bb")
    assert low.errors.tolist() == [0]
    assert below(low, high, [100], judging=3) == [100]
    assert below(low, high, [100], judging=4) == []
    different = curve([20], [20], answers="bc")
    assert below(low, different, [100], judging=4) == [100]


def test_budgets_are_shares_of_what_the_paper_spends():
    searches = [
        {"arm": GENETIC.name, "steps": 900},
        {"arm": GENETIC.name, "steps": 1100},
        {"arm": RANDOM.name, "steps": 5000},
    ]
    assert reported_budgets(searches)[-1] == 1000
    assert reported_budgets(searches)[0] == 10


def test_a_table_is_markdown():
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


PROBLEM = PROBLEMS["two_lags"]


def of_arm(arm: str, *means: float, spent: float) -> Curve:
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
            of_arm(GENETIC.name, 10, 20, 50, spent=10_000),
            of_arm(RANDOM.name, 10, 20, 40, spent=10_000),
            of_arm("clever", 20, 50, 50, spent=1600),
            of_arm("unlucky", 10, 10, 10, spent=1600),
        ),
    )


def test_the_verdict_says_who_needs_how_much_and_who_is_below_random(comparison):
    lines = verdicts([comparison]).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[1] for row in cells] == [GENETIC.name, RANDOM.name, "clever", "unlucky"]
    assert [row[6] for row in cells] == ["100 %", "not reached", "10 %", "not reached"]
    assert [row[7] for row in cells] == ["100 %", "not reached", "10 %", "not reached"]
    assert [row[8] for row in cells] == ["nowhere", "nowhere", "nowhere", "1,000 steps, 10,000 steps"]
    assert cells[2][3] == "10"  # 1,600 steps in trainings of 160


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


def test_records_are_found_again(tmp_path):
    path = tmp_path / "deep" / "records.jsonl"
    records = Records(path)
    assert records.find("a") is None
    records.append({"key": "a", "value": 1})
    assert records.find("a") == {"key": "a", "value": 1}
    assert Records(path).find("a") == {"key": "a", "value": 1}


def test_a_torn_line_costs_itself_only(tmp_path):
    path = tmp_path / "records.jsonl"
    Records(path).append({"key": "a"})
    with path.open("a") as file:
        file.write('{"key": "b", "val')
    records = Records(path)
    assert records.find("b") is None
    records.append({"key": "c"})
    assert [record["key"] for record in read_records(path)] == ["a", "c"]


def test_two_writers_keep_the_lines_of_both(tmp_path):
    path = tmp_path / "records.jsonl"
    one, other = Records(path), Records(path)
    one.append({"key": "a"})
    other.append({"key": "b"})
    one.append({"key": "c"})
    assert [record["key"] for record in read_records(path)] == ["a", "b", "c"]
