"""The trainings of a global search as runs of their own, from the lines of its journal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
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

_NUMBERS = ("best", "mean", "median", "diversity", "evaluations", "cache_hits", "failures")
"""Of a generation."""
_RESULTS = ("metrics", "seconds", "status", "reason", "checkpoint", "budget", "curve")
"""Of an evaluation; the rest identifies the training."""


class Candidates:
    """The trainings of a global search as runs of their own.

    A child run is one training: a structure under a seed. Rungs score a training on its way, so
    that it has metrics at several steps. It is RUNNING while it may go on, and KILLED when it was given up.
    """

    def __init__(
        self, search: MirroredRun, settings: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
    ) -> None:
        self._search = search
        self._lines = lines
        self._fitness = str(settings.get("search", {}).get("fitness", "f1"))
        self._keeps_all = settings.get("search", {}).get("candidate_checkpoints") == "all"
        self._topology: LayerTopology | None = None
        with suppress(InputError, KeyError, TypeError):  # a network that we do not know
            self._topology = BackboneConfig(**settings["backbone"]).topology

    def search(self) -> MirroredRun:
        """Return the run of the search, with the metrics and tables of its generations."""
        generations = [line for line in self._lines if line.get("event") == "generation"]
        metrics = []
        for line in generations:
            found = {f"generation/{name}": line[name] for name in _NUMBERS if name in line}
            metrics += named_metrics(found, self._at(line), line["generation"])
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
                known = {name: one for name, one in line["evaluation"].items() if name not in _RESULTS}
                trainings.setdefault(fingerprint(known), []).append(line)
        for key, lines in trainings.items():
            yield self._run(key, lines)

    def _at(self, line: Mapping[str, Any]) -> int:
        return int(line.get("at") or self._search.started_at)

    def _run(self, key: str, lines: Sequence[Mapping[str, Any]]) -> MirroredRun:
        first, last = lines[0], lines[-1]
        evaluation = last["evaluation"]
        structure = _structure(evaluation["structure"]).key
        budget = f"{evaluation['budget']['amount']} {evaluation['budget']['unit']}"
        status, tags = RunStatus.FINISHED, {}
        if evaluation["status"] == "failed":
            status, tags = RunStatus.FAILED, {REASON_TAG: evaluation["reason"]}
        elif last.get("provisional") and self._search.status is RunStatus.RUNNING:
            status = RunStatus.RUNNING
        elif last.get("provisional"):
            status, tags = RunStatus.KILLED, {REASON_TAG: f"given up after {budget}"}
        identifier = hashlib.sha256(f"{self._search.id}/{key}".encode()).hexdigest()[:32]
        tags |= {
            KIND_TAG: RunKind.CANDIDATE.value,
            RUN_ID_TAG: identifier,
            ROOT_TAG: self._search.tags[ROOT_TAG],
            "g2l.budget": budget,
        }
        rates = json_text(evaluation["structure"], indent=2)
        artifacts = [Artifact(path="structure.json", text=rates, stable=True)]
        if self._keeps_all and evaluation.get("checkpoint") and Path(evaluation["checkpoint"]).is_file():
            file = Path(evaluation["checkpoint"])
            artifacts.append(Artifact(path=file.name, file=file))
        started = {name: first.get(name) for name in ("origin", "phase", "generation", "cached")}
        return MirroredRun(
            id=identifier,
            parent=self._search.id,
            name=f"candidate {structure}",
            started_at=(first.get("at") or self._at(last)) - int(1000 * first["evaluation"]["seconds"]),
            status=status,
            ended_at=None if status is RunStatus.RUNNING else self._at(last),
            params=flatten({"structure": structure, "seed": evaluation["seed"], **started}),
            tags={name: shorten(str(value), MAX_TAG_VALUE) for name, value in tags.items()},
            metrics={JOURNAL: [metric for line in lines for metric in self._scores(line)]},
            artifacts=artifacts,
        )

    def _scores(self, line: Mapping[str, Any]) -> list[Metric]:
        evaluation = line["evaluation"]
        if evaluation["status"] == "failed":
            return []
        scores = {f"holdout/{name}": value for name, value in evaluation["metrics"].items()}
        scores |= {"seconds": evaluation["seconds"], **self._report(evaluation["structure"])}
        with suppress(InputError):  # a fitness of 0.1.0
            scores["fitness"] = metric_value(evaluation["metrics"], self._fitness)
        return named_metrics(scores, self._at(line), evaluation["budget"]["amount"])

    def _population(self, line: Mapping[str, Any]) -> Artifact:
        members = [
            {
                "rank": rank,
                "structure": _structure(member["structure"]).key,
                "fitness": member.get("fitness"),
                "origin": member.get("origin"),
                **self._report(member["structure"]),
            }
            for rank, member in enumerate(line["population"], start=1)
        ]
        columns = list(members[0]) if members else ["rank", "structure", "fitness", "origin"]
        text = json_text({"columns": columns, "data": [list(member.values()) for member in members]})
        path = f"population/generation-{line['generation']:03d}.json"
        return Artifact(path=path, text=text, stable=True, table=True)

    def _report(self, stages: Sequence[Sequence[int]]) -> dict[str, int]:
        return {} if self._topology is None else self._topology.report(_structure(stages))


def _structure(stages: Sequence[Sequence[int]]) -> DilationStructure:
    return DilationStructure(tuple(map(tuple, stages)))


def _shares_weights(evaluation: Mapping[str, Any]) -> bool:
    """Return whether no step was taken with a candidate's own rates: such scores are rows of a table."""
    segments = evaluation.get("lineage") or evaluation.get("history") or [{}]
    return bool(segments[-1].get("until") == evaluation["budget"]["amount"])
