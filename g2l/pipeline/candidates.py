"""How the candidates of a global search are trained: where, by what, and what one of them costs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import OperationalError
from g2l.evaluation import Budget, EvaluationTask, Fitness
from g2l.models.registry import build_backbone
from g2l.search.executors.contract import Executor
from g2l.search.executors.process import ProcessExecutor
from g2l.search.executors.ray import RayExecutor
from g2l.search.executors.serial import SerialExecutor
from g2l.search.loop import WITHOUT_INFLUENCE
from g2l.search.space import check_limits
from g2l.search_config import CandidateCheckpoints, ExecutorKind, GlobalSearchConfig
from g2l.structure import DilationStructure
from g2l.training.candidate import CandidateFitness

PROBE_STEPS = 4
TRAININGS = "trainings"
"""Folder of the checkpoints that trainings go on from; deleted when the search has ended."""
FEATURES = "features"
"""Folder in that one, of the features that processes share."""

logger = logging.getLogger("g2l")


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

    def validate(self) -> Self:
        """Return self.

        Raises:
            InputError: A setting is out of range, or no structure of the backbone keeps a limit.
        """
        for config in (self.backbone, self.recipe, self.search):
            config.validate()
        check_limits(self.search, self.backbone)
        return self

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


def search_in_steps(task: GlobalSearchTask, dataset: SegmentationDataset) -> GlobalSearchConfig:
    """Return the settings of the search with the candidates' budget in optimiser steps."""
    budget = task.search.budget
    if budget.unit == "epochs":
        budget = Budget(budget.amount * _steps_per_epoch(task, dataset, Selection.BEST), "steps")
    return task.search.replace(budget=budget)


def full_steps(task: GlobalSearchTask, dataset: SegmentationDataset) -> int:
    """Return the optimiser steps of one final training, which may see what candidates leave out."""
    return task.recipe.epochs * _steps_per_epoch(task, dataset, task.recipe.selection)


def identity(task: GlobalSearchTask, dataset: SegmentationDataset) -> dict[str, Any]:
    """Return what a candidate's score depends on beside its task, as JSON values."""
    return {
        "data": dataset.fingerprint,
        "backbone": task.backbone.as_dict(),
        "recipe": task.recipe.replace(epochs=1, selection=Selection.LAST, compile=False).as_dict(),
    }


def candidate_fitness(task: GlobalSearchTask, device: str, *, folder: Path | None) -> CandidateFitness:
    """Return what trains and scores the candidates.

    Args:
        task: What is searched.
        device: `auto`, `cpu` or `cuda`.
        folder: Output folder of the search, or None to keep nothing.
    """
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
        checkpoint_folder=folder / "candidates" if folder is not None and keeps else None,
        training_folder=None if folder is None else folder / TRAININGS,
        feature_folder=None if folder is None or alone else folder / TRAININGS / FEATURES,
    )


def make_executor(search: GlobalSearchConfig, fitness: Fitness) -> Executor:
    """Return where the candidates are trained; its context is entered by the caller."""
    if search.executor is ExecutorKind.PROCESS:
        return ProcessExecutor(fitness, workers=search.workers)
    if search.executor is ExecutorKind.RAY:
        gpus = search.gpus_per_candidate
        if search.ray_address is not None:
            return RayExecutor(fitness, address=search.ray_address, gpus_per_candidate=gpus)
        return RayExecutor(fitness, workers=search.workers, gpus_per_candidate=gpus)
    return SerialExecutor(fitness)


def seconds_per_step(fitness: CandidateFitness, structure: DilationStructure, seed: int) -> float | None:
    """Return the time of one optimiser step of a candidate after training one for a few steps.

    Scoring is left out.

    Args:
        fitness: How candidates are trained; it should keep nothing.
        structure: Any structure of the space; rates hardly change the time of a step.
        seed: Seed of the candidates.

    Returns:
        Seconds, or None when it cannot be measured: a candidate that fails ends no search.
    """

    def seconds(steps: int) -> float:
        return fitness(EvaluationTask(structure, Budget(steps, "steps"), seed)).seconds

    try:
        seconds(1)  # opens the data
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


def _steps_per_epoch(task: GlobalSearchTask, dataset: SegmentationDataset, selection: Selection) -> int:
    return -(-len(dataset.partitions(selection).train) // task.recipe.batch_size)
