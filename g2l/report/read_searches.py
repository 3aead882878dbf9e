"""What the journals of the two searches tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.evaluation import Evaluation, EvaluationStatus
from g2l.metrics.scores import metric_value
from g2l.report.files import JOURNAL, RECORD, RESULT, STRUCTURE, as_structure, optional, reading
from g2l.report.stage_facts import BranchStep, Generation, GlobalFacts, LayerPath, LocalFacts, Scored
from g2l.search.budget import StepBudget
from g2l.search.journal import JournalContent, read_journal
from g2l.structure import DilationStructure


def read_global(folder: Path, record: Mapping[str, Any]) -> GlobalFacts:
    """Read a global search, finished or not.

    Args:
        folder: Of the stage.
        record: Its `run.json`.

    Raises:
        InputError: A file is damaged.
    """
    path = folder / JOURNAL
    content = read_journal(path) if path.is_file() else JournalContent()
    result = optional(folder / RESULT)
    with reading(folder / RECORD):
        settings = record["settings"]
        search = settings.get("search") or settings["global_search"]
        fitness, strategy = str(search["fitness"]), str(search["strategy"])
        seed = int(settings["seed"])
        header = (content.header or {}).get("settings", {})
        hand_designed = result.get("hand_designed") or header.get("hand_designed") or [[1]]
    with reading(path):
        return GlobalFacts(
            strategy=strategy,
            fitness=fitness,
            winner=_structure(folder),
            hand_designed=as_structure(hand_designed),
            scores=_scores(content, fitness, seed),
            generations=tuple(
                _generation(content.generations[number][1]) for number in sorted(content.generations)
            ),
            result=result,
        )


def _scores(content: JournalContent, fitness: str, seed: int) -> tuple[Scored, ...]:
    """Return the scores with what had been spent; as the search's own ledger charges for them."""
    budget, found = StepBudget(), []
    for evaluation, _ in content.evaluations.values():
        budget.charge(evaluation.task)
        fresh = evaluation.seed != seed
        shared = evaluation.task.shares_weights
        score = _score(evaluation, fitness)
        found.append(Scored(evaluation.structure, budget.spent, score, fresh, shared))
    return tuple(found)


def _score(evaluation: Evaluation, fitness: str) -> float | None:
    if evaluation.status is EvaluationStatus.FAILED or not evaluation.metrics:
        return None
    return metric_value(evaluation.metrics, fitness)


def _generation(value: Mapping[str, Any]) -> Generation:
    names = ("best", "mean", "median", "diversity", "evaluations", "cache_hits", "failures")
    members = tuple((member["fitness"], str(member["origin"])) for member in value["population"])
    return Generation(number=value["generation"], members=members, **{name: value[name] for name in names})


def read_local(folder: Path, record: Mapping[str, Any]) -> LocalFacts:
    """Read a local search, finished or not.

    Args:
        folder: Of the stage.
        record: Its `run.json`.

    Raises:
        InputError: A file is damaged.
    """
    result = optional(folder / RESULT)
    with reading(folder / RECORD):
        start = as_structure(record["settings"]["structure"])
    return LocalFacts(
        start=start,
        found=_structure(folder),
        paths=_paths(folder / JOURNAL),
        steps=result.get("steps"),
        holdout=result.get("holdout", {}),
    )


def _structure(folder: Path) -> DilationStructure | None:
    value = optional(folder / STRUCTURE)
    with reading(folder / STRUCTURE):
        return as_structure(value["stages"]) if value else None


def _paths(path: Path) -> tuple[LayerPath, ...]:
    if not path.is_file():
        return ()
    try:
        updates = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected one JSON object per line ({error}).") from None
    with reading(path):
        layers = {name: [update["layers"][name] for update in updates] for name in updates[0]["layers"]}
        return tuple(
            LayerPath(name, int(steps[0]["rate_before"]), tuple(map(_step, steps)))
            for name, steps in layers.items()
        )


def _step(value: Mapping[str, Any]) -> BranchStep:
    branches, weights = tuple(map(int, value["branches"])), tuple(map(float, value["weights"]))
    return BranchStep(branches, weights, float(value["expectation"]), int(value["rate_after"]))
