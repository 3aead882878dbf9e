"""What a search would have answered after so many steps, and what that answer is worth on test."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.search_efficiency.problems import Problem, open_data, search_space
from benchmarks.search_efficiency.search import GENETIC, RANDOM, Record, Records, read_records
from g2l.config import Budget
from g2l.evaluation import EvaluationTask
from g2l.files import fingerprint
from g2l.metrics.scores import metric_value
from g2l.structure import DilationStructure
from g2l.training.candidate import CandidateTraining
from g2l.training.device import one_thread
from g2l.training.evaluate import evaluate_model

Numbers = NDArray[np.float64]

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


def judged(problem: Problem, searches: Sequence[Record], budgets: Sequence[int], work: Path) -> Curve:
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


def share_of_paper(curve: Curve, budgets: Sequence[int], goal: float) -> float | None:
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


def judging_error(work: Path) -> float:
    """Return the standard error of the test F1 of one answer, pooled over all that were judged."""
    scores: dict[str, list[float]] = defaultdict(list)
    for record in read_records(work / FILE):
        scores[record["structure"]].append(record["f1"])
    spreads = [np.var(one, ddof=1) for one in scores.values() if len(one) > 1]
    return math.sqrt(float(np.mean(spreads)) / len(TEST_SEEDS)) if spreads else 0.0


def standard_error(values: Numbers) -> float:
    """Return the standard error of a mean; NaN of a single value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _score(problem: Problem, structure: DilationStructure, records: Records) -> float:
    """Return the mean test F1 of full trainings of a structure."""
    return float(np.mean([_trained(problem, structure, seed, records) for seed in TEST_SEEDS]))


def _trained(problem: Problem, structure: DilationStructure, seed: int, records: Records) -> float:
    """Return the test F1 of one full training, from `records` or else by training."""
    key = fingerprint({"problem": problem.identity(), "structure": structure.as_lists(), "seed": seed})
    record = records.find(key)
    if record is None:
        dataset, partitions = open_data(problem)
        task = EvaluationTask(structure, Budget(problem.full_steps, "steps"), seed)
        with one_thread():
            training = CandidateTraining(
                task, dataset, problem.backbone, problem.recipe, holdout=0, device="cpu"
            )
            training.scores()
            found = evaluate_model(training.model, dataset, partitions.test, device=torch.device("cpu"))
        name = f"{problem.name} {structure.key}"
        record = {"key": key, "structure": name, "seed": seed, "f1": metric_value(found, "f1")}
        records.append(record)
    return float(record["f1"])


DECIDED = ("leader", "winner")
"""Kinds of events in which a strategy names its answer."""


def incumbents(events: Sequence[Record]) -> Iterator[tuple[int, DilationStructure]]:
    """Yield the steps spent at each change of mind, ascending, and the structure from there on.

    The incumbent is the leader that the strategy itself has named last, or a structure that has scored
    better since in a training that was no shorter.

    Args:
        events: Of one search, in their order.
    """
    incumbent: Record | None = None
    for event in events:
        named = event["kind"] in DECIDED or incumbent is None or _beats(event, incumbent)
        if not named:
            continue
        if incumbent is None or event["structure"] != incumbent["structure"]:
            yield event["steps"], DilationStructure(tuple(map(tuple, event["structure"])))
        incumbent = event


def incumbent_at(events: Sequence[Record], steps: int, before: DilationStructure) -> DilationStructure:
    """Return the incumbent once `steps` are spent.

    Args:
        events: Of one search, in their order.
        steps: Optimiser steps.
        before: What one answers without any score: the hand-designed structure.
    """
    answer = before
    for spent, structure in incumbents(events):
        if spent > steps:
            break
        answer = structure
    return answer


def _beats(event: Record, incumbent: Record) -> bool:
    comparable = event["kind"] == "evaluation" and event["seed"] == incumbent["seed"]
    return bool(
        comparable and event["budget"] >= incumbent["budget"] and event["fitness"] > incumbent["fitness"]
    )
