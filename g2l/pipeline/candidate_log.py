"""Records every candidate of a global search, and keeps or deletes its weights."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from g2l.evaluation import Evaluation, EvaluationStatus
from g2l.files import fingerprint, unwritable
from g2l.metrics.scores import metric_value
from g2l.pipeline.records import receptive_field_columns
from g2l.pipeline.stage import Stage
from g2l.search.candidates import GenerationSummary
from g2l.search.events import EvaluationEvent, SearchStatus
from g2l.search.journal import task_to_json
from g2l.search_config import CandidateCheckpoints
from g2l.structure import DilationStructure, LayerTopology
from g2l.tracking.protocol import Run, RunKind, RunStatus

TRACKED = "tracked.txt"
END = "end"
SHARED_TABLE = "super-network.json"

STATUS_INTERVAL_S = 5.0
"""The status is recorded at most this often, and with every generation: a point for each of thousands of
candidates of a second each would say no more."""


class CandidateLog:
    """A search observer: candidates become child runs, generations metrics and a table.

    A child run is one training: a structure under a seed. Rungs score a training on its way,
    so that it has metrics at several steps. It stays open while it may go on, and ends as KILLED when it was
    given up. What was only scored, with the weights of a super-network, is a row of a table.

    A resumed search shows again what its journal holds; what was recorded before is in `tracked.txt` and
    is not recorded twice.

    Args:
        stage: The stage of the search.
        keep: Which candidates keep their weights.
        metric: Name of the fitness.
        topology: Of the network that is searched.
    """

    def __init__(
        self, stage: Stage, *, keep: CandidateCheckpoints, metric: str, topology: LayerTopology
    ) -> None:
        self._stage = stage
        self._keep = keep
        self._metric = metric
        self._topology = topology
        self._path: Path = stage.folder / TRACKED
        self._tracked = set(self._path.read_text(encoding="utf-8").split()) if self._path.exists() else set()
        self._open: dict[str, Run] = {}
        self._undecided: dict[str, Evaluation] = {}
        self._status: SearchStatus | None = None
        self._status_at = time.monotonic()
        self._checkpoints: dict[Path, Evaluation] = {}
        self._survivors: set[DilationStructure] = set()
        self._compared: set[Path] = set()
        self._shared: list[Evaluation] = []
        self.evaluations = 0
        self.seconds = 0.0

    def on_evaluation(self, finding: EvaluationEvent) -> None:
        """Record one score of a candidate, and now and then the state of the search."""
        self._note(finding)
        # Not what a resumed search only repeats.
        self._status = finding.status
        if self._status.trained_steps and time.monotonic() - self._status_at >= STATUS_INTERVAL_S:
            self._record_status()

    def _note(self, finding: EvaluationEvent) -> None:
        evaluation = finding.evaluation
        self.seconds += evaluation.seconds
        if evaluation.checkpoint is not None:
            self._checkpoints[evaluation.checkpoint] = evaluation
        if evaluation.task.shares_weights:
            self._shared.append(evaluation)
            return
        self.evaluations += 1
        training, identifier = _training(evaluation), fingerprint(task_to_json(evaluation.task))
        self._undecided.pop(training, None)
        if finding.provisional and evaluation.status is EvaluationStatus.DONE:
            self._undecided[training] = evaluation
        if identifier not in self._tracked:
            self._track(finding, training)
            # Both at once: what a training was started for is recorded with its first score only.
            self._remember(identifier, training)

    def on_generation(self, summary: GenerationSummary) -> None:
        """Record one generation; with `elite`, delete the weights of all that did not survive."""
        identifier = f"generation-{summary.generation:03d}"
        if identifier not in self._tracked:
            self._describe(summary, f"population/{identifier}.json")
            self._record_status()
            self._remember(identifier)
        if self._keep is CandidateCheckpoints.ELITE:
            self._survivors = {member.structure for member in summary.population}
            self._delete_fallen()
            # What is known may still wait to be compared, until the next generation at most.
            self._compared = set(self._checkpoints)

    def on_end(self) -> None:
        """End the runs of what was given up; with `elite`, keep one set of weights of each survivor."""
        if self._keep is CandidateCheckpoints.ELITE:
            self._delete_fallen()
            longest = {e.structure: path for path, e in sorted(self._checkpoints.items(), key=_length)}
            self._delete(self._checkpoints.keys() - longest.values())
        if END in self._tracked:
            return
        if self._shared:
            columns = shared_columns(self._shared, self._metric, self._topology)
            self._stage.run.log_table(columns, SHARED_TABLE)
        for training, evaluation in self._undecided.items():
            self._run(training, evaluation).finish(RunStatus.KILLED, f"given up after {evaluation.budget}")
        self._record_status()
        self._remember(END)

    def _describe(self, summary: GenerationSummary, table: str) -> None:
        numbers = ("best", "mean", "median", "diversity", "evaluations", "cache_hits", "failures")
        self._stage.run.log_metrics(
            {f"generation/{name}": float(getattr(summary, name)) for name in numbers}, step=summary.generation
        )
        members = summary.population
        self._stage.run.log_table(
            {
                "rank": list(range(1, len(members) + 1)),
                "structure": [member.structure.key for member in members],
                "fitness": [None if member.failed else member.fitness for member in members],
                "origin": [member.origin.value for member in members],
                **receptive_field_columns([member.structure for member in members], self._topology),
            },
            table,
        )

    def _record_status(self) -> None:
        status, self._status_at = self._status, time.monotonic()
        if status is None:
            return
        names = ("generation", "best", "median", "cache_hits", "pruned", "failures", "steps", "workers")
        numbers = {f"search/{name}": float(getattr(status, name)) for name in names}
        if status.full_steps is not None:
            numbers["search/training_equivalents"] = status.steps / status.full_steps
        self._stage.run.log_metrics(numbers, step=status.evaluations)

    def _remember(self, *identifiers: str) -> None:
        self._tracked.update(identifiers)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{' '.join(identifiers)}\n")
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _run(self, training: str, evaluation: Evaluation) -> Run:
        """Return the run of a training, opened again where it was ended or left by an earlier process."""
        return self._open.pop(training, None) or self._stage.run.child(
            name=f"candidate {evaluation.structure.key}", kind=RunKind.CANDIDATE, key=training
        )

    def _track(self, finding: EvaluationEvent, training: str) -> None:
        evaluation = finding.evaluation
        run = self._run(training, evaluation)
        if training not in self._tracked:
            started = {"origin": finding.origin.value, "phase": finding.phase.value, "cached": finding.cached}
            place = {"structure": evaluation.structure.key, "seed": evaluation.seed}
            run.log_params(place | started | {"generation": finding.generation})
            run.log_dict(evaluation.structure.as_lists(), "structure.json")
        run.set_tags({"g2l.budget": str(evaluation.budget)})
        if evaluation.status is EvaluationStatus.FAILED:
            run.finish(RunStatus.FAILED, evaluation.reason)
            return
        self._record_scores(run, evaluation)
        if finding.provisional:
            self._open[training] = run
        else:
            run.finish()

    def _record_scores(self, run: Run, evaluation: Evaluation) -> None:
        scores = {f"holdout/{name}": value for name, value in evaluation.metrics.items()}
        scores |= {"fitness": metric_value(evaluation.metrics, self._metric), "seconds": evaluation.seconds}
        scores |= {
            name: float(frames) for name, frames in self._topology.report(evaluation.structure).items()
        }
        run.log_metrics(scores, step=evaluation.budget.amount)
        if self._keep is CandidateCheckpoints.ALL and evaluation.checkpoint is not None:
            run.log_artifact(evaluation.checkpoint)

    def _delete_fallen(self) -> None:
        """Delete the weights of what was compared and is not in the population."""
        known = self._compared & self._checkpoints.keys()
        self._delete({path for path in known if self._checkpoints[path].structure not in self._survivors})

    def _delete(self, paths: set[Path]) -> None:
        folder = self._stage.folder.resolve()
        for path in paths:
            del self._checkpoints[path]
            if path.resolve().is_relative_to(folder):  # never those of another run
                shutil.rmtree(path.parent, ignore_errors=True)


def _length(kept: tuple[Path, Evaluation]) -> tuple[int, int, str]:
    """Return what the weights of a structure are sorted by: in the end, one and the same are kept always."""
    path, evaluation = kept
    return evaluation.budget.amount, -evaluation.seed, path.parent.name


def _training(evaluation: Evaluation) -> str:
    """Return what one training is known by, whatever its budget."""
    task = task_to_json(evaluation.task)
    return fingerprint({name: value for name, value in task.items() if name != "budget"})


def shared_columns(
    evaluations: Sequence[Evaluation], metric: str, topology: LayerTopology
) -> dict[str, list[Any]]:
    """Return the table of what was scored with the weights of a super-network, the best first.

    Args:
        evaluations: In any order.
        metric: Name of the fitness.
        topology: Of the network.
    """

    def fitness(evaluation: Evaluation) -> float | None:
        return metric_value(evaluation.metrics, metric) if evaluation.metrics else None

    rows = sorted(evaluations, key=lambda one: (-(fitness(one) or 0.0), one.structure.key))
    return {
        "structure": [row.structure.key for row in rows],
        "fitness": [fitness(row) for row in rows],
        **receptive_field_columns([row.structure for row in rows], topology),
        "reason_of_failure": [row.reason for row in rows],
    }
