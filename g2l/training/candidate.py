"""The training of one candidate of a search, along the courses of its task."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.evaluation import Budget, EvaluationTask
from g2l.models.rates import AdjustableRates
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure
from g2l.training.checkpoint import training_identity
from g2l.training.course_checkpoints import CourseCheckpoints
from g2l.training.courses import Course, courses_of
from g2l.training.device import resolve_device, seed_everything
from g2l.training.evaluation import evaluate_model
from g2l.training.run import Training


class CandidateTraining:
    """The live objects of the training of one candidate; its weights are a function of the task alone.

    Args:
        task: What is trained.
        data: Data set, split and how it is read.
        backbone: Size of the network.
        recipe: How it is trained; its epochs and selection do not matter here.
        device: `auto`, `cpu` or `cuda`.
        folder: Where the courses keep their checkpoints, or None.
        feature_folder: Where processes share decoded features, or None to keep them in RAM.

    Attributes:
        dataset: The data, standardised on what is trained on.
        model: The network.
        steps: The budget in optimiser steps.

    Raises:
        InputError: The data cannot be read, the structure does not fit the backbone, its rates cannot be
            changed as the lineage wants, or there is no GPU.
    """

    def __init__(
        self,
        task: EvaluationTask,
        *,
        data: DataConfig,
        backbone: BackboneConfig,
        recipe: RecipeConfig,
        device: str,
        folder: Path | None = None,
        feature_folder: Path | None = None,
    ) -> None:
        self.dataset = open_dataset(data, Path.cwd(), feature_folder)
        partitions = self.dataset.partitions(Selection.BEST)
        recipe = recipe.replace(selection=Selection.LAST, compile=False)
        source = BatchSource(self.dataset, partitions.train, batch_size=recipe.batch_size, seed=task.seed)
        self.steps = task.budget.amount * (len(source) if task.budget.unit == "epochs" else 1)
        self._structure = task.structure
        self._holdout = partitions.holdout
        self._courses = courses_of(task, self.steps)
        self._checkpoints = CourseCheckpoints(folder)
        first = self._courses[0].first_structure
        seed_everything(task.seed)
        self.model = build_backbone(
            backbone, first, feature_dim=self.dataset.feature_dim, num_classes=len(self.dataset.mapping.names)
        )
        # Networks that do not show their rates can still be trained with those they were built with.
        self._rates = AdjustableRates(self.model, first) if task.lineage else None
        self._training = Training(
            self.model,
            source,
            recipe,
            seed=task.seed,
            device=resolve_device(device),
        )
        self._load()

    def train(self, until: int | None = None) -> None:
        """Train up to a step, or to the end of the budget; leave the network with the rates of the task.

        Args:
            until: Optimiser steps completed then, counted from the very start.

        Raises:
            OperationalError: The loss is not finite, or memory runs out.
        """
        for course in self._courses:
            last_step = course.until if until is None else min(course.until, until)
            if self._training.state.step < last_step:
                self._follow(course, last_step)
        self._set_rates(self._structure)

    def score(self) -> dict[str, float]:
        """Return the hold-out metrics of the network as it is, in percent."""
        return evaluate_model(self.model, self.dataset, self._holdout, device=self._training.device)

    def _follow(self, course: Course, last_step: int) -> None:
        training = self._training
        identity = self._identity(course)

        def draw_rates(step: int) -> None:
            self._set_rates(course.structure_at(step))

        training.advance(
            last_step,
            before_step=draw_rates if course.structure is None else None,
            on_record=lambda _: self._checkpoints.save_sometimes(training, course, identity),
        )
        self._checkpoints.save(training, course, identity)

    def _load(self) -> None:
        """Go on from the furthest checkpoint there is."""
        for course in reversed(self._courses):
            if self._checkpoints.load(self._training, course, self._identity(course)):
                return

    def _identity(self, course: Course) -> dict[str, Any]:
        """Return what a checkpoint in a course must share, and give the network the rates it starts with."""
        training = self._training
        self._set_rates(course.first_structure)
        return {
            **training_identity(
                training.state,
                training.recipe,
                Budget(course.until, "steps"),
                training.seed,
                training.source.names,
                training.callbacks,
            ),
            "course": course.key,
        }

    def _set_rates(self, structure: DilationStructure) -> None:
        if self._rates is not None:
            self._rates.set(structure)


@lru_cache(maxsize=1)
def open_dataset(
    config: DataConfig, working_folder: Path, feature_folder: Path | None = None
) -> SegmentationDataset:
    """Return the data set as candidates see it, opened once in a process.

    Args:
        config: What is opened.
        working_folder: What a relative data root is relative to.
        feature_folder: Where processes share decoded features, or None to keep them in RAM.
    """
    dataset = SegmentationDataset.open(config, quiet=True)  # who started the search has reported it
    dataset = dataset.standardized_on(dataset.partitions(Selection.BEST).train)
    return dataset if feature_folder is None else dataset.shared_in(feature_folder)
