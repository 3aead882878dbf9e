"""Experiment B as numbers: test score of the incumbents against optimiser steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.search_efficiency.correlate import trained
from benchmarks.search_efficiency.incumbents import incumbent_at
from benchmarks.search_efficiency.problems import Problem, search_space
from benchmarks.search_efficiency.records import Record, Records
from benchmarks.search_efficiency.search import GENETIC, RANDOM
from benchmarks.search_efficiency.statistics import Numbers, standard_error
from g2l.structure import DilationStructure

FILE = "tests.jsonl"
TEST_SEEDS = (1000, 1001)
"""Of the full trainings that judge an incumbent; no search has these."""
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Reported budgets as shares of what the paper's algorithm spends."""
ROUNDING = 0.03
"""Share of its money that a search may leave unspent because no candidate is that cheap."""
BEYOND_NOISE = 2.0
"""Standard errors of a difference."""


@dataclass(frozen=True)
class Curve:
    """One way of searching on one problem, at the reported budgets.

    Attributes:
        arm: Its name.
        scores: Test F1 of the incumbents, (searches, budgets).
        answers: Keys of the incumbents, per search and budget.
        spent: Steps that each search has spent in all, (searches,).
    """

    arm: str
    scores: Numbers
    answers: tuple[tuple[str, ...], ...]
    spent: Numbers

    @property
    def means(self) -> Numbers:
        """Over searches, (budgets,)."""
        return np.asarray(self.scores.mean(axis=0), dtype=np.float64)

    @property
    def errors(self) -> Numbers:
        """Standard errors of the means, (budgets,)."""
        return np.array([standard_error(column) for column in self.scores.T])

    def running(self, budgets: Sequence[int]) -> list[int]:
        """Return the positions of the budgets that a search was not over before, but for a candidate."""
        last = float(self.spent.max()) * (1 + ROUNDING)
        return [place for place, budget in enumerate(budgets) if budget <= last]


def reported_budgets(searches: Sequence[Record]) -> tuple[int, ...]:
    """Return the budgets in steps at which the searches of one problem are compared."""
    spent = [record["steps"] for record in searches if record["arm"] == GENETIC.name]
    return tuple(round(share * float(np.mean(spent))) for share in SHARES)


def curve(problem: Problem, searches: Sequence[Record], budgets: Sequence[int], work: Path) -> Curve:
    """Return the curve of the searches of one arm, training incumbents that were never judged.

    Args:
        problem: Where they searched.
        searches: Their records.
        budgets: In steps.
        work: Folder of all records.
    """
    records = Records(work / FILE)
    first = _hand_designed(problem)
    answers = [[incumbent_at(search["events"], budget, first) for budget in budgets] for search in searches]
    scores = [[_score(problem, structure, records) for structure in row] for row in answers]
    keys = tuple(tuple(structure.key for structure in row) for row in answers)
    spent = np.array([search["steps"] for search in searches], dtype=np.float64)
    return Curve(searches[0]["arm"], np.array(scores), keys, spent)


def hand_designed_score(problem: Problem, work: Path) -> float:
    """Return the mean test F1 of the hand-designed structure, which all searches know from the start."""
    return _score(problem, _hand_designed(problem), Records(work / FILE))


def share_to_receptive_field(curve: Curve, budgets: Sequence[int], goal: float) -> float | None:
    """Return the share of the paper's steps after which the mean score is at least `goal`, or None.

    Args:
        curve: Whose mean counts, at the reported budgets; a search that had ended before one spent less.
        budgets: In steps, the last one being what the paper's algorithm spends.
        goal: A test score.
    """
    reached = [budget for budget, mean in zip(budgets, curve.means, strict=True) if mean >= goal]
    return min(reached[0], float(curve.spent.mean())) / budgets[-1] if reached else None


def below(curve: Curve, other: Curve, budgets: Sequence[int], judging: float) -> list[int]:
    """Return the budgets at which a curve is below another one beyond noise, while that one went on.

    Noise is what the searches of either side differ by, but no less than what judging their answers does.

    Args:
        curve: What is compared.
        other: With which.
        budgets: In steps.
        judging: Standard error of the score of one answer, in points.
    """
    sampled = np.sqrt(curve.errors**2 + other.errors**2)
    found = []
    for place in other.running(budgets):
        noise = max(sampled[place], judging * _unshared(curve, other, place))
        if curve.means[place] - other.means[place] < -BEYOND_NOISE * noise:
            found.append(budgets[place])
    return found


def _unshared(curve: Curve, other: Curve, place: int) -> float:
    """Return the error of a difference of means for answers of unit error: those of both sides cancel."""
    weights: dict[str, float] = defaultdict(float)
    for side, sign in ((curve, 1.0), (other, -1.0)):
        for row in side.answers:
            weights[row[place]] += sign / len(side.answers)
    return float(np.sqrt(sum(weight**2 for weight in weights.values())))


def goals(curves: Sequence[Curve]) -> tuple[Curve, Curve]:
    """Return the curves of the paper's algorithm and of random search."""
    by_name = {one.arm: one for one in curves}
    return by_name[GENETIC.name], by_name[RANDOM.name]


def _hand_designed(problem: Problem) -> DilationStructure:
    return search_space(problem).project(problem.backbone.hand_designed())


def _score(problem: Problem, structure: DilationStructure, records: Records) -> float:
    """Return the mean test F1 of full trainings of a structure."""
    values = []
    for seed in TEST_SEEDS:
        record = trained(problem, structure, seed, records, ladder=(problem.full_steps,), decays=())
        values += [score["values"]["f1"] for score in record["scores"] if score["part"] == "test"]
    return float(np.mean(values))
