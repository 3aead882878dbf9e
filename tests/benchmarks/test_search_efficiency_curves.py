"""What a search would have answered, what that is worth, and how it compares."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.search_efficiency.efficiency import Curve, below, reported_budgets, share_to_receptive_field
from benchmarks.search_efficiency.incumbents import incumbent_at, incumbents
from benchmarks.search_efficiency.markdown import table
from benchmarks.search_efficiency.search import GENETIC, RANDOM
from g2l.structure import DilationStructure


def event(steps: int, rate: int, fitness: float, **changes: object) -> dict:
    usual = {"kind": "evaluation", "budget": 40, "inherited": False, "seed": 0}
    return usual | {"steps": steps, "structure": [[rate]], "fitness": fitness} | changes


def changes_of_mind(*events: dict) -> list[tuple[int, str]]:
    return [(steps, structure.key) for steps, structure in incumbents(events)]


def test_the_best_score_is_the_incumbent():
    events = event(40, 1, 50), event(80, 2, 40), event(120, 4, 60), event(160, 8, 60)
    assert changes_of_mind(*events) == [(40, "1"), (120, "4")]


def test_the_leader_that_a_strategy_names_counts_whatever_its_score():
    events = event(40, 1, 50), event(80, 2, 40), event(80, 2, 40, kind="leader"), event(120, 4, 45)
    assert changes_of_mind(*events) == [(40, "1"), (80, "2"), (120, "4")]


@pytest.mark.parametrize(
    "difference", [{"budget": 20}, {"seed": 1}, {"inherited": True}, {"inherited": True, "kind": "leader"}]
)
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
    assert share_to_receptive_field(some, [10, 100, 1000], goal=30) == 0.1
    assert share_to_receptive_field(some, [10, 100, 1000], goal=41) is None
    assert share_to_receptive_field(curve([np.nan, 30], [10, 30]), [10, 1000], goal=5) == 1
    assert share_to_receptive_field(some, [10, 20, 10_000], goal=35) == 0.1  # it had ended after 1,000


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
