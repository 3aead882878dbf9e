"""How the candidates of a global search are trained, what one of them costs, and whose weights are kept."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from g2l.config import Budget, CandidateCheckpoints, ExecutorKind, GlobalSearchConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import OperationalError
from g2l.evaluation import Evaluation, EvaluationTask, Fitness
from g2l.models.registry import build_backbone
from g2l.pipeline.context import StageTask
from g2l.pipeline.output import link_or_copy
from g2l.records import METRICS, LineLog, MetricsRecord
from g2l.search.candidates import EvaluationEvent, GenerationSummary, SearchStatus
from g2l.search.executors.base import Executor, SerialExecutor
from g2l.search.executors.process import ProcessExecutor
from g2l.search.executors.ray import RayExecutor
from g2l.structure import DilationStructure
from g2l.training.candidate import CandidateFitness

PROBE_STEPS = 4
STATUS_INTERVAL_S = 5.0
CANDIDATES = "candidates"
"""Folder of the candidates' weights: `<id>/model.safetensors`."""
TRAININGS = "trainings"
"""Folder of the checkpoints that trainings go on from; deleted when the search has ended."""
FEATURES = "features"
"""Folder in that one, of the features that processes share."""

logger = logging.getLogger("g2l")


@dataclass(frozen=True, kw_only=True)
class GlobalSearchTask(StageTask):
    """A search task; the seed is that of the run (`g2l.seeds`).

    The recipe says how candidates are trained; the budget of the search replaces its epochs.
    """

    search: GlobalSearchConfig
    seed: int


def steps_per_epoch(task: StageTask, dataset: SegmentationDataset, *, whole: bool = False) -> int:
    """Return the optimiser steps of an epoch that leaves a hold-out, or of one of a final training."""
    final = Selection.LAST if task.recipe.refit else task.recipe.selection
    train = dataset.partitions(final if whole else Selection.BEST).train
    return -(-len(train) // task.recipe.batch_size)


def identity(task: GlobalSearchTask, dataset: SegmentationDataset) -> dict[str, Any]:
    """Return what a candidate's score depends on beside its task, as JSON values."""
    return {
        "data": dataset.fingerprint,
        "backbone": task.backbone.as_dict(),
        "recipe": task.recipe.replace(
            epochs=1, selection=Selection.LAST, refit=False, compile=False
        ).as_dict(),
    }


def candidate_fitness(
    task: GlobalSearchTask, dataset: SegmentationDataset, device: str, *, folder: Path | None
) -> CandidateFitness:
    """Return what trains and scores the candidates; without the folder of the search it keeps nothing."""
    keeps = task.search.candidate_checkpoints is not CandidateCheckpoints.NONE
    alone = task.search.executor is ExecutorKind.SERIAL
    data = task.data
    if task.search.executor is ExecutorKind.RAY:  # whose processes may have another working folder
        data = data.replace(data_root=data.data_root.absolute())
        folder = folder and folder.absolute()
    return CandidateFitness(
        data=data,
        backbone=task.backbone,
        recipe=task.recipe,
        device=device,
        checkpoint_folder=folder / CANDIDATES if folder is not None and keeps else None,
        training_folder=None if folder is None else folder / TRAININGS,
        feature_folder=None if folder is None or alone else folder / TRAININGS / FEATURES,
        opened=dataset if alone else None,
    )


def make_executor(search: GlobalSearchConfig, fitness: Fitness) -> Executor:
    """Return where the candidates are trained; its context is entered by the caller."""
    if search.executor is ExecutorKind.PROCESS:
        return ProcessExecutor(fitness, workers=search.workers)
    if search.executor is ExecutorKind.RAY:
        workers = search.workers if search.ray_address is None else None
        return RayExecutor(
            fitness,
            workers=workers,
            address=search.ray_address,
            gpus_per_candidate=search.gpus_per_candidate,
        )
    return SerialExecutor(fitness)


def seconds_per_step(fitness: CandidateFitness, structure: DilationStructure, seed: int) -> float | None:
    """Return the time of one optimiser step of a candidate after training one for a few steps.

    Scoring is left out. None when it cannot be measured: a candidate that fails ends no search. Any structure
    of the space will do, since rates hardly change the time of a step.
    """

    def seconds(steps: int) -> float:
        return fitness(EvaluationTask(structure, Budget(steps, "steps"), seed)).seconds

    try:
        seconds(1)  # reads the videos
        return max(seconds(1 + PROBE_STEPS) - seconds(1), 0.0) / PROBE_STEPS
    except OperationalError as error:
        logger.warning("the time of a candidate cannot be measured: %s", error)
        return None


def bytes_of_weights(task: GlobalSearchTask, dataset: SegmentationDataset) -> int:
    """Return the size of one candidate's weights."""
    network = build_backbone(
        task.backbone,
        task.backbone.hand_designed(),
        feature_dim=dataset.feature_dim,
        num_classes=len(dataset.mapping.names),
    )
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


class CandidateWeights:
    """A search observer that counts evaluations, and keeps or deletes the weights of candidates.

    `folder` is that of the search.
    """

    def __init__(self, folder: Path, keep: CandidateCheckpoints) -> None:
        self._folder = folder / CANDIDATES
        self._keep = keep
        self._kept: dict[Path, Evaluation] = {}
        self._compared: set[Path] = set()
        self._survivors: set[DilationStructure] = set()
        self.evaluations = 0
        self.seconds = 0.0

    def on_evaluation(self, event: EvaluationEvent) -> None:
        """Count one score of a candidate; weights that another run trained are linked into this one."""
        evaluation = event.evaluation
        self.seconds += evaluation.seconds
        self.evaluations += 1
        if evaluation.checkpoint is None or self._keep is CandidateCheckpoints.NONE:
            return
        path = self._folder / evaluation.checkpoint.parent.name / evaluation.checkpoint.name
        if event.cached and not path.exists() and evaluation.checkpoint.exists():
            link_or_copy(evaluation.checkpoint, path)
        if path.exists():
            self._kept[path] = evaluation

    def on_generation(self, summary: GenerationSummary) -> None:
        """With `elite`, delete the weights of all that did not survive."""
        if self._keep is not CandidateCheckpoints.ELITE:
            return
        self._survivors = {member.structure for member in summary.population}
        self._delete_fallen()
        # Known scores may wait for their comparison until the next generation.
        self._compared = set(self._kept)

    def on_end(self) -> None:
        """With `elite`, keep one set of weights of each survivor: those that were trained longest."""
        if self._keep is not CandidateCheckpoints.ELITE:
            return
        self._delete_fallen()
        # Sorted so that in the end the same ones are kept always.
        kept = sorted(
            self._kept.items(),
            key=lambda one: (one[1].budget.amount, -one[1].seed, one[0].parent.name),
        )
        longest = {evaluation.structure: path for path, evaluation in kept}
        self._delete(self._kept.keys() - longest.values())

    def _delete_fallen(self) -> None:
        """Delete the weights of what was compared and is not in the population."""
        known = self._compared & self._kept.keys()
        self._delete({path for path in known if self._kept[path].structure not in self._survivors})

    def _delete(self, paths: set[Path]) -> None:
        for path in paths:
            del self._kept[path]
            shutil.rmtree(path.parent, ignore_errors=True)


class StatusLog:
    """A search observer that writes down where the search stands, in `metrics.jsonl` of its folder.

    That is after every generation, and after an evaluation at most every few seconds: a point for each of
    thousands of candidates of a second each would add nothing. Repetitions of a resumed search are left out.
    """

    def __init__(self, folder: Path) -> None:
        self._log = LineLog(folder / METRICS, MetricsRecord)
        self._status: SearchStatus | None = None
        self._written_at = time.monotonic()

    def on_evaluation(self, event: EvaluationEvent) -> None:
        """Write the status down, now and then."""
        self._status = event.status
        if self._status.trained_steps and time.monotonic() - self._written_at >= STATUS_INTERVAL_S:
            self._write()

    def on_generation(self, summary: GenerationSummary) -> None:
        """Write the status down."""
        self._write()

    def on_end(self) -> None:
        """Write the last status down."""
        self._write()

    def _write(self) -> None:
        status, self._written_at = self._status, time.monotonic()
        if status is None or not status.trained_steps:
            return
        names = ("generation", "best", "median", "cache_hits", "failures", "steps", "workers")
        numbers = {f"search/{name}": float(getattr(status, name)) for name in names}
        if status.full_steps is not None:
            numbers["search/training_equivalents"] = status.steps / status.full_steps
        self._log.append(MetricsRecord(step=status.evaluations, metrics=numbers))
