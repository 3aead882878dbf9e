"""The global search as a stage: data goes in, a coarse structure comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from g2l.config import (
    BackboneConfig,
    CandidateCheckpoints,
    DataConfig,
    ExecutorKind,
    GlobalSearchConfig,
    RecipeConfig,
    Selection,
)
from g2l.datasets.dataset import Partitions, SegmentationDataset
from g2l.evaluation import Budget, Evaluation, Fitness
from g2l.metrics.fitness import metric_value
from g2l.pipeline.candidate_log import CandidateLog
from g2l.pipeline.figures import fitness_over_generations
from g2l.pipeline.probe import measure_candidate
from g2l.pipeline.records import describe_data
from g2l.pipeline.stage import Stage, Workplace, open_stage
from g2l.search.cost import CostPlan, plan_search
from g2l.search.executors.contract import Executor
from g2l.search.executors.process import ProcessExecutor
from g2l.search.executors.serial import SerialExecutor
from g2l.search.global_search import run_global_search
from g2l.search.journal import Journal
from g2l.search.result import GlobalSearchResult
from g2l.search.session import WITHOUT_INFLUENCE
from g2l.search.space import SearchSpace
from g2l.search.store import EvaluationStore
from g2l.structure import DilationStructure
from g2l.structure_files import read_structure, write_structure
from g2l.tracking.protocol import RunKind
from g2l.training.fitness import ShortTrainingFitness

STRUCTURE = "structure.json"


@dataclass(frozen=True, kw_only=True)
class GlobalSearchTask:
    """What is searched.

    Attributes:
        data: Data set, split and how it is read.
        backbone: Size of the network.
        recipe: How candidates are trained; the search's budget replaces its epochs.
        search: Settings of the search.
        seed: Seed of the search and of every candidate's training.
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    search: GlobalSearchConfig
    seed: int

    def settings(self) -> dict[str, Any]:
        """Return what the result depends on as JSON values: a resumed search may use other workers."""
        search = {
            name: value for name, value in self.search.as_dict().items() if name not in WITHOUT_INFLUENCE
        }
        return {
            "data": self.data.as_dict(),
            "backbone": self.backbone.as_dict(),
            "recipe": self.recipe.as_dict(),
            "search": search,
            "seed": self.seed,
        }


@dataclass(frozen=True, kw_only=True)
class GlobalSearchOutcome:
    """What the global search found.

    Attributes:
        structure: The leader.
        fitness: Its hold-out fitness after the candidates' budget, in percent.
        hand_designed_fitness: That of the 2^l structure by the same budget and seed.
        evaluations: Candidates trained, in this run or, where they were shared, in another.
        steps: Optimiser steps of all candidates.
        seconds: Time that training the candidates took.
        run_id: The tracked run, or None.
    """

    structure: DilationStructure
    fitness: float
    hand_designed_fitness: float
    evaluations: int
    steps: int
    seconds: float
    run_id: str | None = None


def search_globally(
    place: Workplace, task: GlobalSearchTask, *, on_plan: Callable[[CostPlan], None]
) -> GlobalSearchOutcome:
    """Search coarse rates with the genetic algorithm (G2L, section 3.2).

    Args:
        place: Where it runs.
        task: What is searched.
        on_plan: Told what the search will cost before it starts.

    Raises:
        InputError: Data or settings are wrong.
        OperationalError: No candidate could be trained.
    """
    for config in (task.backbone, task.recipe, task.search):
        config.validate()
    dataset = SegmentationDataset.open(task.data)
    with open_stage(place, RunKind.SEARCH_GLOBAL, "search-global", task.settings()) as stage:
        result = stage.result or _search(stage, task, dataset, on_plan)
        structure = read_structure(stage.folder / STRUCTURE).structure
        return GlobalSearchOutcome(structure=structure, run_id=stage.run.run_id, **result)


def _search(
    stage: Stage, task: GlobalSearchTask, dataset: SegmentationDataset, on_plan: Callable[[CostPlan], None]
) -> dict[str, Any]:
    partitions = dataset.partitions(Selection.BEST)
    describe_data(stage.run, dataset, partitions)
    space = SearchSpace.powers_of_two(
        task.backbone.shape,
        max_exponent=task.search.max_exponent,
        longest=dataset.longest(partitions.train),
    )
    fitness = _fitness(task, stage)
    on_plan(_plan(task, space, dataset, fitness))
    identity = {
        "data": dataset.fingerprint,
        "backbone": task.backbone.as_dict(),
        "recipe": task.recipe.replace(epochs=1, selection=Selection.LAST).as_dict(),
    }
    log = CandidateLog(stage, keep=task.search.candidate_checkpoints, metric=task.search.fitness)
    store = None if stage.place.evaluations is None else EvaluationStore(stage.place.evaluations, identity)
    journal = Journal(stage.folder / "journal.jsonl", resume=stage.place.resume, identity=identity)
    with journal, _executor(task.search, fitness) as executor:
        result = run_global_search(
            space,
            task.search,
            executor,
            seed=task.seed,
            hand_designed=task.backbone.hand_designed(),
            journal=journal,
            store=store,
            observers=[log],
            progress=stage.place.progress,
        )
    summary = _summary(task, result, log, partitions)
    _record(stage, task, dataset, result, summary)
    stage.finish(summary)
    return summary


def _fitness(task: GlobalSearchTask, stage: Stage) -> ShortTrainingFitness:
    keeps = task.search.candidate_checkpoints is not CandidateCheckpoints.NONE
    return ShortTrainingFitness(
        data=task.data,
        backbone=task.backbone,
        recipe=task.recipe,
        device=stage.place.device,
        checkpoint_folder=stage.folder / "candidates" if keeps else None,
    )


def _plan(
    task: GlobalSearchTask, space: SearchSpace, dataset: SegmentationDataset, fitness: ShortTrainingFitness
) -> CostPlan:
    measured = measure_candidate(fitness, task.backbone.hand_designed(), task.search.budget, task.seed)
    # A final training may see all of train, where a candidate leaves the hold-out alone.
    whole = _steps_per_epoch(dataset.partitions(task.recipe.selection), task.recipe)
    return plan_search(
        task.search,
        space,
        full_training=Budget(task.recipe.epochs * whole, "steps"),
        steps_per_epoch=_steps_per_epoch(dataset.partitions(Selection.BEST), task.recipe),
        seconds_per_evaluation=measured.seconds,
        bytes_per_checkpoint=measured.checkpoint_bytes,
    )


def _executor(search: GlobalSearchConfig, fitness: Fitness) -> Executor:
    if search.executor is ExecutorKind.PROCESS:
        return ProcessExecutor(fitness, workers=search.workers)
    return SerialExecutor(fitness)


def _summary(
    task: GlobalSearchTask, result: GlobalSearchResult, log: CandidateLog, partitions: Partitions
) -> dict[str, Any]:
    budget = task.search.budget
    per_candidate = budget.amount
    if budget.unit == "epochs":
        per_candidate *= _steps_per_epoch(partitions, task.recipe)
    return {
        "fitness": _score(result.best, task.search.fitness),
        "hand_designed_fitness": _score(result.hand_designed, task.search.fitness),
        "evaluations": log.evaluations,
        "steps": log.evaluations * per_candidate,
        "seconds": log.seconds,
    }


def _score(evaluation: Evaluation, metric: str) -> float:
    """Return the fitness, 0 for a structure that could not be trained."""
    return metric_value(evaluation.metrics, metric) if evaluation.metrics else 0.0


def _record(
    stage: Stage,
    task: GlobalSearchTask,
    dataset: SegmentationDataset,
    result: GlobalSearchResult,
    summary: dict[str, Any],
) -> None:
    provenance = {"search": "global", "data": dataset.fingerprint, "seed": task.seed, **summary}
    path: Path = stage.folder / STRUCTURE
    write_structure(path, result.best.structure, backbone=task.backbone.name, provenance=provenance)
    stage.run.log_artifact(path)
    stage.run.log_artifact(stage.folder / "journal.jsonl")
    stage.run.log_metrics({name: float(value) for name, value in summary.items()})
    best = [generation.best for generation in result.generations]
    mean = [generation.mean for generation in result.generations]
    figure = fitness_over_generations(best, mean, summary["hand_designed_fitness"], task.search.fitness)
    stage.run.log_figure(figure, "fitness.png")


def _steps_per_epoch(partitions: Partitions, recipe: RecipeConfig) -> int:
    return -(-len(partitions.train) // recipe.batch_size)
