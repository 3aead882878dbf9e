"""The candidates of a global search as runs, from the lines of its journal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.files import fingerprint
from g2l.metrics.scores import metric_value
from g2l.records import JOURNAL, RunKind, RunStatus
from g2l.structure import DilationStructure, LayerTopology
from g2l.tracking.state import (
    KIND_TAG,
    MAX_TAG_VALUE,
    REASON_TAG,
    ROOT_TAG,
    RUN_ID_TAG,
    Artifact,
    Metric,
    MirroredRun,
    flatten,
    json_text,
    named_metrics,
    shorten,
)


class Candidates:
    """The trainings of a global search as runs of their own, from the lines of its journal.

    A child run is one training: a structure under a seed. Rungs score a training on its way, so
    that it has metrics at several steps. It is RUNNING while it may go on, and KILLED when it was given up.

    Args:
        search: The run of the search.
        settings: Of the search.
        lines: Of its journal, in order.
    """

    def __init__(
        self, search: MirroredRun, settings: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
    ) -> None:
        self._search = search
        self._lines = lines
        self._fitness = str(settings.get("search", {}).get("fitness", "f1"))
        self._keeps_all = settings.get("search", {}).get("candidate_checkpoints") == "all"
        self._topology = _topology(settings)

    def search(self) -> MirroredRun:
        """Return the run of the search, with the metrics and tables of its generations."""
        numbers = ("best", "mean", "median", "diversity", "evaluations", "cache_hits", "failures")
        generations = [line for line in self._lines if line.get("event") == "generation"]
        metrics = []
        for line in generations:
            found = {f"generation/{name}": line[name] for name in numbers if name in line}
            metrics += named_metrics(found, line.get("at") or self._search.started_at, line["generation"])
        return replace(
            self._search,
            metrics={**self._search.metrics, JOURNAL: metrics},
            artifacts=[*self._search.artifacts, *map(self._population, generations)],
        )

    def runs(self) -> Iterator[MirroredRun]:
        """Yield a run for each training."""
        trainings: dict[str, list[Mapping[str, Any]]] = {}
        for line in self._lines:
            if line.get("event") == "evaluation" and not _shares_weights(line["evaluation"]):
                trainings.setdefault(_training(line["evaluation"]), []).append(line)
        for key, lines in trainings.items():
            yield self._run(key, lines)

    def _run(self, key: str, lines: Sequence[Mapping[str, Any]]) -> MirroredRun:
        first, last = lines[0], lines[-1]
        evaluation = last["evaluation"]
        structure = DilationStructure(tuple(map(tuple, evaluation["structure"])))
        budget = f"{evaluation['budget']['amount']} {evaluation['budget']['unit']}"
        status, reason = RunStatus.FINISHED, None
        if evaluation["status"] == "failed":
            status, reason = RunStatus.FAILED, evaluation["reason"]
        elif last.get("provisional"):
            status = RunStatus.RUNNING
            if self._search.status is not RunStatus.RUNNING:
                status, reason = RunStatus.KILLED, f"given up after {budget}"
        started = {name: first.get(name) for name in ("origin", "phase", "generation", "cached")}
        identifier = hashlib.sha256(f"{self._search.id}/{key}".encode()).hexdigest()[:32]
        tags = {
            KIND_TAG: RunKind.CANDIDATE.value,
            RUN_ID_TAG: identifier,
            ROOT_TAG: self._search.tags[ROOT_TAG],
            "g2l.budget": budget,
        }
        ended = last.get("at") or self._search.started_at
        file = Path(evaluation["checkpoint"]) if self._keeps_all and evaluation.get("checkpoint") else None
        return MirroredRun(
            id=identifier,
            parent=self._search.id,
            name=f"candidate {structure.key}",
            started_at=(first.get("at") or ended) - int(1000 * first["evaluation"]["seconds"]),
            status=status,
            ended_at=None if status is RunStatus.RUNNING else ended,
            params=flatten({"structure": structure.key, "seed": evaluation["seed"], **started}),
            tags=tags | ({} if reason is None else {REASON_TAG: shorten(str(reason), MAX_TAG_VALUE)}),
            metrics={JOURNAL: [metric for line in lines for metric in self._scores(line)]},
            artifacts=[
                Artifact(
                    path="structure.json", text=json_text(evaluation["structure"], indent=2), stable=True
                ),
                *([] if file is None or not file.is_file() else [Artifact(path=file.name, file=file)]),
            ],
        )

    def _scores(self, line: Mapping[str, Any]) -> list[Metric]:
        evaluation = line["evaluation"]
        if evaluation["status"] == "failed":
            return []
        scores = {f"holdout/{name}": value for name, value in evaluation["metrics"].items()}
        scores |= {"seconds": evaluation["seconds"]} | self._report(evaluation["structure"])
        if (fitness := _score(evaluation["metrics"], self._fitness)) is not None:
            scores["fitness"] = fitness
        return named_metrics(
            scores, line.get("at") or self._search.started_at, evaluation["budget"]["amount"]
        )

    def _population(self, line: Mapping[str, Any]) -> Artifact:
        members = line["population"]
        reports = [self._report(member["structure"]) for member in members]
        columns = {
            "rank": list(range(1, len(members) + 1)),
            "structure": [DilationStructure(tuple(map(tuple, m["structure"]))).key for m in members],
            "fitness": [member.get("fitness") for member in members],
            "origin": [member.get("origin") for member in members],
            **{name: [report[name] for report in reports] for name in (reports[0] if reports else ())},
        }
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        name = f"population/generation-{line['generation']:03d}.json"
        text = json_text({"columns": list(columns), "data": rows})
        return Artifact(path=name, text=text, stable=True, table=True)

    def _report(self, structure: Sequence[Sequence[int]]) -> dict[str, float]:
        if self._topology is None:
            return {}
        return dict(self._topology.report(DilationStructure(tuple(map(tuple, structure)))))


def _topology(settings: Mapping[str, Any]) -> LayerTopology | None:
    """Return how the layers of the searched network are connected; None of a network we do not know."""
    try:
        return BackboneConfig(**settings["backbone"]).topology
    except (InputError, KeyError, TypeError):
        return None


def _score(metrics: Mapping[str, float], name: str) -> float | None:
    try:
        return metric_value(metrics, name)
    except InputError:
        return None


def _shares_weights(evaluation: Mapping[str, Any]) -> bool:
    """Return whether no step was taken with a candidate's own rates: such scores are rows of a table."""
    segments = evaluation.get("lineage") or evaluation.get("history") or [{}]
    return bool(segments[-1].get("until") == evaluation["budget"]["amount"])


def _training(evaluation: Mapping[str, Any]) -> str:
    """Return what one training is known by, whatever its budget."""
    others = ("metrics", "seconds", "status", "reason", "checkpoint", "budget", "curve")
    return fingerprint({name: value for name, value in evaluation.items() if name not in others})
