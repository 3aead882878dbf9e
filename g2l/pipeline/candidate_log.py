"""Records every candidate of a global search, and keeps or deletes its weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from g2l.config import CandidateCheckpoints
from g2l.evaluation import Evaluation, EvaluationStatus
from g2l.files import fingerprint
from g2l.metrics.fitness import metric_value
from g2l.pipeline.stage import Stage
from g2l.search.population import GenerationSummary
from g2l.search.status import Finding, SearchStatus
from g2l.tracking.protocol import RunKind, RunStatus

TRACKED = "tracked.txt"


class CandidateLog:
    """A search observer: candidates become child runs, generations metrics and a table.

    A resumed search shows again what its journal holds; what was recorded before is in `tracked.txt` and
    is not recorded twice.

    Args:
        stage: The stage of the search.
        keep: Which candidates keep their weights.
        metric: Name of the fitness.
    """

    def __init__(self, stage: Stage, *, keep: CandidateCheckpoints, metric: str) -> None:
        self._stage = stage
        self._keep = keep
        self._metric = metric
        self._path: Path = stage.folder / TRACKED
        self._tracked = set(self._path.read_text(encoding="utf-8").split()) if self._path.exists() else set()
        self._checkpoints: dict[str, Path] = {}
        self.evaluations = 0
        self.seconds = 0.0

    def on_evaluation(self, finding: Finding) -> None:
        """Record one candidate."""
        evaluation = finding.evaluation
        self.evaluations += 1
        self.seconds += evaluation.seconds
        if evaluation.checkpoint is not None:
            self._checkpoints[evaluation.structure.key] = evaluation.checkpoint
        identifier = fingerprint(evaluation.structure.as_lists())
        if identifier in self._tracked:
            return
        self._track(evaluation, finding.generation, cached=finding.cached)
        self._remember(identifier)

    def on_status(self, status: SearchStatus) -> None:
        """Record nothing: generations hold the same numbers, at less cost."""

    def on_end(self) -> None:
        """Do nothing: every candidate is recorded already."""

    def on_generation(self, summary: GenerationSummary) -> None:
        """Record one generation; with `elite`, delete the weights of all that did not survive."""
        identifier = f"generation-{summary.generation:03d}"
        if identifier not in self._tracked:
            self._describe(summary, f"population/{identifier}.json")
            self._remember(identifier)
        if self._keep is CandidateCheckpoints.ELITE:
            self._delete_except({member.structure.key for member in summary.population})

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
                "receptive_field": [member.structure.receptive_field() for member in members],
            },
            table,
        )

    def _remember(self, identifier: str) -> None:
        self._tracked.add(identifier)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{identifier}\n")

    def _track(self, evaluation: Evaluation, generation: int, *, cached: bool) -> None:
        run = self._stage.run.child(name=f"candidate {evaluation.structure.key}", kind=RunKind.CANDIDATE)
        run.log_params(
            {
                "structure": evaluation.structure.key,
                "budget": str(evaluation.budget),
                "seed": evaluation.seed,
                "generation": generation,
                "cached": cached,
            }
        )
        run.log_dict(evaluation.structure.as_lists(), "structure.json")
        if evaluation.status is EvaluationStatus.FAILED:
            run.finish(RunStatus.FAILED, evaluation.reason)
            return
        fields = {"receptive_field": float(evaluation.structure.receptive_field())}
        scores = {f"holdout/{name}": value for name, value in evaluation.metrics.items()}
        fitness = {"fitness": metric_value(evaluation.metrics, self._metric), "seconds": evaluation.seconds}
        run.log_metrics(scores | fitness | fields)
        if self._keep is CandidateCheckpoints.ALL and evaluation.checkpoint is not None:
            run.log_artifact(evaluation.checkpoint)
        run.finish()

    def _delete_except(self, survivors: set[str]) -> None:
        folder = self._stage.folder.resolve()
        for key in [key for key in self._checkpoints if key not in survivors]:
            path = self._checkpoints.pop(key)
            if path.resolve().is_relative_to(folder):  # never those of another run
                shutil.rmtree(path.parent, ignore_errors=True)
