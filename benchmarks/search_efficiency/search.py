"""Searches, each recorded with all that it trained and what that cost; nothing is computed twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.search_efficiency.problems import Problem, search_space
from g2l.config import Budget, CandidateCheckpoints, GlobalSearchConfig, Strategy
from g2l.evaluation import Evaluation, EvaluationStatus
from g2l.files import fingerprint
from g2l.metrics.scores import metric_value
from g2l.search.budget import StepBudget, task_steps
from g2l.search.candidates import EvaluationEvent, GenerationSummary, SearchPhase
from g2l.search.engine import Search
from g2l.search.executors.base import SerialExecutor
from g2l.search.journal import EvaluationStore
from g2l.search.loop import GlobalSearchResult, run_global_search
from g2l.training.candidate import CandidateFitness

Record = dict[str, Any]

FILE = "searches.jsonl"
TRAININGS = 12.0
"""What the compared strategies may spend, in full trainings; the paper's algorithm ends by itself."""


@dataclass(frozen=True)
class Arm:
    """A way of searching that is compared.

    Attributes:
        name: What the tables call it.
        config: Its settings, beside the budget of a candidate.
    """

    name: str
    config: GlobalSearchConfig


def _compared(strategy: Strategy, trainings: float | None = TRAININGS) -> GlobalSearchConfig:
    """Return the settings of a strategy in the proportions of the paper, scaled down."""
    return GlobalSearchConfig(
        strategy=strategy,
        trainings=trainings,
        population=16,
        generations=12,
        survival_margin=20.0,
        candidate_checkpoints=CandidateCheckpoints.NONE,
    )


GENETIC = Arm("genetic (paper)", _compared(Strategy.GENETIC, trainings=None))
RANDOM = Arm("random", _compared(Strategy.RANDOM))


ARMS = {arm.name: arm for arm in (GENETIC, RANDOM)}


def run(arm: Arm, problem: Problem, seed: int, work: Path) -> Record:
    """Return the record of one search, from `work` or else by running it.

    Args:
        arm: How it searches.
        problem: Where.
        seed: Of the search and of its trainings.
        work: Folder of all records; trainings in it are shared by all searches.
    """
    config = arm.config.replace(budget=Budget(problem.proxy_steps, "steps"))
    records = Records(work / FILE)
    key = search_key(problem, config, seed)
    record = records.find(key)
    if record is None:
        record = {"key": key, "problem": problem.name, "arm": arm.name, "seed": seed}
        record |= _search(problem, config, seed, work)
        records.append(record)
    return record


def search_key(problem: Problem, config: GlobalSearchConfig, seed: int) -> str:
    """Return what names a search of these settings."""
    return fingerprint({"problem": problem.identity(), "config": config.as_dict(), "seed": seed})


def _search(problem: Problem, config: GlobalSearchConfig, seed: int, work: Path) -> Record:
    started = time.perf_counter()
    folder = work / "trainings" / fingerprint(problem.identity())
    fitness = CandidateFitness(
        data=problem.data,
        backbone=problem.backbone,
        recipe=problem.recipe,
        device="cpu",
        training_folder=folder,
    )
    observer = _Observer(config.fitness)
    with SerialExecutor(fitness) as executor:
        result = run_global_search(
            Search(
                search_space(problem),
                config,
                executor,
                seed=seed,
                hand_designed=problem.backbone.hand_designed(),
                full_steps=problem.full_steps,
                store=EvaluationStore(work / "evaluations", problem.identity()),
                observers=[observer],
            )
        )
    return observer.record(result) | {"seconds": round(time.perf_counter() - started, 1)}


class _Observer:
    """Writes down what a search is told, and what it had cost by then."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._ledger = StepBudget(task_steps)
        self._events: list[Record] = []

    def on_evaluation(self, finding: EvaluationEvent) -> None:
        self._ledger.charge(finding.evaluation.task)
        if finding.evaluation.status is EvaluationStatus.DONE:
            kind = "evaluation" if finding.status.phase is SearchPhase.SEARCH else "race"
            self._note(kind, finding.evaluation)

    def on_generation(self, summary: GenerationSummary) -> None:
        self._note("leader", summary.population[0].evaluation)

    def on_end(self) -> None:
        pass

    def record(self, result: GlobalSearchResult) -> Record:
        """Return the whole search, its winner being the last event."""
        self._note("winner", result.best, structure=result.winner.as_lists())
        return {"steps": self._ledger.spent, "proxy": result.proxy, "events": self._events}

    def _note(self, kind: str, evaluation: Evaluation, **changes: object) -> None:
        event: Record = {
            "kind": kind,
            "steps": self._ledger.spent,
            "structure": evaluation.structure.as_lists(),
            "budget": evaluation.budget.amount,
            "seed": evaluation.seed,
            "fitness": round(metric_value(evaluation.metrics, self._metric), 3),
        }
        self._events.append(event | changes)


class Records:
    """A file of one JSON object per line, each with a `key` of its own; several processes may append to it.

    Args:
        path: The file; made with its folder by the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Record] = {record["key"]: record for record in read_records(path)}

    def find(self, key: str) -> Record | None:
        """Return the record of that key, or None."""
        return self._known.get(key)

    def append(self, record: Record) -> None:
        """Write a line; `record` must have a `key`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(record, sort_keys=True).encode() + b"\n"
        with self._path.open("ab+") as file:
            if file.tell() and not _ends_with_newline(file.fileno()):
                line = b"\n" + line  # a kill had torn the line before: keep it apart
            os.write(file.fileno(), line)
        self._known[record["key"]] = record


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file that may not exist, without lines that a kill has torn."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def _ends_with_newline(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, 1, size - 1) == b"\n"
