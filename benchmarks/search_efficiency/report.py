"""From the records of both experiments to everything that is reported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.search_efficiency.correlate import recorded
from benchmarks.search_efficiency.correlation_report import write_correlation
from benchmarks.search_efficiency.efficiency import TEST_SEEDS, curve, hand_designed_score, reported_budgets
from benchmarks.search_efficiency.efficiency_report import Comparison, write_efficiency
from benchmarks.search_efficiency.problems import Problem
from benchmarks.search_efficiency.records import Record, read_records
from benchmarks.search_efficiency.scores import ScoreTable, score_table
from benchmarks.search_efficiency.search import ARMS, FILE, GENETIC, RANDOM
from benchmarks.search_efficiency.statistics import spread_of_the_best

RESULTS = Path(__file__).with_name("results")
MIN_SEEDS = 3
"""Fewer cannot choose by one seed and measure a spread by the others."""


def write(problems: Sequence[Problem], work: Path) -> None:
    """Write the tables and plots of all experiments that are far enough."""
    tables = score_tables(problems, work)
    by_name = {problem.name: problem for problem in problems}
    if tables:
        write_correlation({name: (by_name[name], scores) for name, scores in tables.items()}, RESULTS)
    comparisons = {problem.name: comparison(problem, work, tables.get(problem.name)) for problem in problems}
    known = {name: found for name, found in comparisons.items() if found is not None}
    if known:
        write_efficiency(known, len(TEST_SEEDS), RESULTS)


def score_tables(problems: Sequence[Problem], work: Path) -> dict[str, ScoreTable]:
    """Return the scores of experiment A of the problems that have them under enough seeds."""
    tables = {problem.name: score_table(recorded(problem, work)) for problem in problems}
    return {name: scores for name, scores in tables.items() if len(scores.seeds) >= MIN_SEEDS}


def comparison(problem: Problem, work: Path, scores: ScoreTable | None) -> Comparison | None:
    """Return the searches of a problem, None without those that the others are compared with.

    Incumbents that were never judged are trained now.
    """
    by_arm: dict[str, list[Record]] = {arm: [] for arm in ARMS}
    for record in read_records(work / FILE):
        if record["problem"] == problem.name and record["arm"] in by_arm:
            by_arm[record["arm"]].append(record)
    if not by_arm[GENETIC.name] or not by_arm[RANDOM.name]:
        return None
    budgets = reported_budgets(by_arm[GENETIC.name])
    best = None if scores is None else spread_of_the_best(scores.final("holdout"), scores.final("test"))
    return Comparison(
        problem=problem,
        hand_designed=hand_designed_score(problem, work),
        judging=0.0 if best is None else best.seeds / math.sqrt(len(TEST_SEEDS)),
        budgets=budgets,
        curves=tuple(curve(problem, records, budgets, work) for records in by_arm.values() if records),
        spread=best,
    )
