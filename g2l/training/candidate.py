"""A short training as the score of a structure: the fitness of the global search.

A training is a chain of segments (`EvaluationTask.history`, then the structure's own rates), each with rates
of one kind. Trainings that share the first segments are the same training up to there, so each segment has
its own `last.ckpt`, which later trainings continue. Checkpoints save work; no score depends on them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import G2LError, InputError
from g2l.evaluation import Budget, Evaluation, EvaluationTask, TrainingSegment
from g2l.files import fingerprint
from g2l.models.artifact import save_model
from g2l.models.rates import AdjustableRates
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure
from g2l.training.checkpoint import BeyondBudgetError, training_identity
from g2l.training.description import model_metadata
from g2l.training.device import one_thread, resolve_device, seed_everything
from g2l.training.evaluate import evaluate_model
from g2l.training.loop import Training

SAVE_SECONDS = 60.0
"""A kill costs at most about this much training; most candidates are done before."""
_DRAWS = 1
"""Keeps the generators of rates apart from those of the order of batches, which have the same seed."""

_log = logging.getLogger("g2l")


@dataclass(frozen=True, kw_only=True)
class CandidateFitness:
    """Trains a structure for a budget and scores its last weights once, on the hold-out.

    Implements `g2l.evaluation.Fitness`. Uses one CPU thread (see `one_thread`), since several candidates at
    a time use all cores better than one does. Under one seed every structure starts from the same weights
    and sees the same batches and dropout, since none depends on the rates. Picklable: a process that gets it
    opens the data set at the first call and keeps it.

    Attributes:
        data: Data set, split and how it is read.
        backbone: Size of the network.
        recipe: How it is trained; its epochs and selection are ignored.
        device: `auto`, `cpu` or `cuda`.
        checkpoint_folder: Where `<digest>/model.safetensors` is written, or None to keep no weights.
        training_folder: Where each training leaves the `last.ckpt` that larger budgets and candidates of the
            same super-network continue, or None.
        feature_folder: Where the processes of an executor share decoded features, or None to keep them in
            RAM. It changes no score.
        opened: The data set as `candidate_dataset` returns it, where this process has opened it already;
            other processes open their own.
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    device: str = "auto"
    checkpoint_folder: Path | None = None
    training_folder: Path | None = None
    feature_folder: Path | None = None
    opened: SegmentationDataset | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields to pickle: without the opened data set."""
        return {**vars(self), "opened": None}

    def __call__(self, task: EvaluationTask) -> Evaluation:
        """Return the evaluation of a task.

        Raises:
            InputError: The data cannot be read, the structure does not fit the backbone, its rates cannot be
                changed as the history requires, or there is no GPU.
            OperationalError: The loss is not finite, or memory runs out.
        """
        started = time.perf_counter()
        dataset = self.opened or open_dataset(self.data, Path.cwd(), self.feature_folder)
        with one_thread():
            candidate = CandidateTraining(
                task, dataset, self.backbone, self.recipe, device=self.device, folder=self.training_folder
            )
            candidate.train()
            metrics = candidate.score()
        checkpoint = self._save(candidate, task, metrics)
        seconds = time.perf_counter() - started
        return Evaluation(**vars(task), metrics=metrics, checkpoint=checkpoint, seconds=seconds)

    def _save(
        self, candidate: CandidateTraining, task: EvaluationTask, metrics: Mapping[str, float]
    ) -> Path | None:
        """Write the model unless its weights are those of a super-network; return where."""
        if self.checkpoint_folder is None or task.shares_weights:
            return None
        path = self.checkpoint_folder / _digest(task) / "model.safetensors"
        metadata = model_metadata(
            candidate.dataset,
            backbone=self.backbone,
            structure=task.structure,
            selection=Selection.BEST,
            seed=task.seed,
            metrics={f"holdout/{name}": value for name, value in metrics.items()},
        )
        save_model(path, candidate.model, metadata)
        return path


class CandidateTraining:
    """The training of one candidate; its weights are a function of the task alone.

    Args:
        task: What is trained.
        dataset: As `candidate_dataset` returns it.
        backbone: Size of the network.
        recipe: How it is trained; its epochs and selection are ignored.
        device: `auto`, `cpu` or `cuda`.
        folder: Where the segments keep their checkpoints (`<key>/last.ckpt`), or None.

    Raises:
        InputError: See `CandidateFitness`.
    """

    def __init__(
        self,
        task: EvaluationTask,
        dataset: SegmentationDataset,
        backbone: BackboneConfig,
        recipe: RecipeConfig,
        *,
        device: str,
        folder: Path | None = None,
    ) -> None:
        self.dataset = dataset
        partitions = dataset.partitions(Selection.BEST)
        recipe = recipe.replace(selection=Selection.LAST, compile=False)
        source = BatchSource(dataset, partitions.train, batch_size=recipe.batch_size, seed=task.seed)
        steps = task.budget.amount * (len(source) if task.budget.unit == "epochs" else 1)
        self._structure = task.structure
        self._holdout = partitions.holdout
        self._segments = segments_of(task, steps)
        self._folder = folder
        self._beyond: set[Segment] = set()
        self._saved = time.monotonic()
        first = self._segments[0].structure_at(0)
        seed_everything(task.seed)
        self.model = build_backbone(
            backbone, first, feature_dim=dataset.feature_dim, num_classes=len(dataset.mapping.names)
        )
        # Networks whose rates are not accessible can still be trained with those they were built with.
        self._rates = AdjustableRates(self.model, first) if task.history else None
        self._training = Training(self.model, source, recipe, seed=task.seed, device=resolve_device(device))
        for segment in reversed(self._segments):  # continue the furthest checkpoint
            if self._load(segment):
                break

    def train(self) -> None:
        """Train to the end of the budget; leave the network with the rates of the task.

        Raises:
            OperationalError: The loss is not finite, or memory runs out.
        """
        for segment in self._segments:
            if self._training.state.step < segment.until:
                self._follow(segment)
        self._set_rates(self._structure)

    def score(self) -> dict[str, float]:
        """Return the hold-out metrics of the network as it is, in percent."""
        return evaluate_model(self.model, self.dataset, self._holdout, device=self._training.device)

    def _follow(self, segment: Segment) -> None:
        identity = self._identity(segment)

        def draw_rates(step: int) -> None:
            self._set_rates(segment.structure_at(step))

        def save_sometimes(_: object) -> None:
            if time.monotonic() - self._saved > SAVE_SECONDS:
                self._save(segment, identity)

        before_step = draw_rates if segment.structure is None else None
        self._training.advance(segment.until, before_step=before_step, on_record=save_sometimes)
        self._save(segment, identity)

    def _load(self, segment: Segment) -> bool:
        """Continue where a segment was left; return False if there is nothing to continue.

        A checkpoint of another training, or a damaged one, causes a warning and is replaced later; one
        beyond the end of the segment belongs to a larger budget and stays.
        """
        path = self._path(segment)
        if path is None:
            return False
        identity = self._identity(segment)  # sets the rates of the segment, also where nothing is loaded
        if not path.exists():
            return False
        try:
            self._training.load(path, identity, segment.until)
        except BeyondBudgetError:
            self._beyond.add(segment)
            return False
        except InputError as error:
            _log.warning("%s The candidate is trained from the start.", error)
            return False
        return True

    def _save(self, segment: Segment, identity: Mapping[str, Any]) -> None:
        """Write the checkpoint of a segment; a disk error only costs later work."""
        path = self._path(segment)
        if path is None or segment in self._beyond:
            return
        try:
            self._training.save(path, identity)
        except G2LError as error:
            _log.warning("%s The candidate cannot be continued later.", error)
        self._saved = time.monotonic()

    def _path(self, segment: Segment) -> Path | None:
        return None if self._folder is None else self._folder / segment.key / "last.ckpt"

    def _identity(self, segment: Segment) -> dict[str, Any]:
        """Set the first rates of a segment, and return the settings that its checkpoint must share."""
        training = self._training
        self._set_rates(segment.structure_at(segment.start))
        settings = training_identity(
            training.state,
            training.recipe,
            Budget(segment.until, "steps"),
            training.seed,
            training.source.names,
            training.callbacks,
        )
        return {**settings, "segment": segment.key}

    def _set_rates(self, structure: DilationStructure) -> None:
        if self._rates is not None:
            self._rates.set(structure)


@dataclass(frozen=True)
class Segment:
    """A segment of a training, with what led to it: all that a state in it depends on beside its step.

    Attributes:
        shape: Layers per stage.
        seed: Seed of the training.
        before: The segments that led to it, earliest first.
        until: Steps completed when it ends.
        structure: Its rates, or None when every step draws its own.
        rates: What is drawn from then, each layer alone and uniformly; else empty.
    """

    shape: tuple[int, ...]
    seed: int
    before: tuple[TrainingSegment, ...]
    until: int
    structure: DilationStructure | None
    rates: tuple[int, ...]

    @property
    def start(self) -> int:
        """Steps completed when it starts."""
        return self.before[-1].until if self.before else 0

    @property
    def key(self) -> str:
        """16 hex digits that identify the segment, however long it is."""
        before = [[one.until, *_rates(one.structure, one.rates)] for one in self.before]
        return fingerprint([self.seed, before, *_rates(self.structure, self.rates), list(self.shape)])

    def structure_at(self, step: int) -> DilationStructure:
        """Return the rates of the step that follows `step` completed ones."""
        if self.structure is not None:
            return self.structure
        generator = np.random.default_rng([self.seed % 2**32, step, _DRAWS])
        chosen = generator.integers(len(self.rates), size=sum(self.shape))
        return DilationStructure.from_rates([self.rates[number] for number in chosen], self.shape)


def segments_of(task: EvaluationTask, steps: int) -> list[Segment]:
    """Return the segments of a training, earliest first; its own rates have none where the history ends it.

    Args:
        task: What is trained.
        steps: Its budget in optimiser steps.

    Raises:
        InputError: A segment of the history does not end after the one before it, or ends after the
            training, or has a structure of another shape.
    """
    shape = task.structure.shape
    for segment in task.history:
        if segment.structure is not None and segment.structure.shape != shape:
            raise InputError(
                f"`history` must hold structures of the shape of {task.structure}, "
                f"but holds {segment.structure} instead."
            )
    ends = [0, *(segment.until for segment in task.history)]
    for earlier, later in pairwise(ends):
        if not earlier < later <= steps:
            raise InputError(
                f"`history` must hold segments that end in {earlier + 1} … {steps}, one after the other, "
                f"but one ends at {later} instead."
            )
    segments = [
        Segment(shape, task.seed, task.history[:number], one.until, one.structure, one.rates)
        for number, one in enumerate(task.history)
    ]
    if ends[-1] < steps:
        segments.append(Segment(shape, task.seed, task.history, steps, task.structure, ()))
    return segments


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
    return candidate_dataset(
        SegmentationDataset.open(config, quiet=True),
        feature_folder,  # the search has reported its notices
    )


def candidate_dataset(
    dataset: SegmentationDataset, feature_folder: Path | None = None
) -> SegmentationDataset:
    """Return an opened data set as candidates see it: standardised on what they are trained on."""
    dataset = dataset.standardized_on(dataset.partitions(Selection.BEST).train)
    return dataset if feature_folder is None else dataset.shared_in(feature_folder)


def _digest(task: EvaluationTask) -> str:
    history = [[one.until, *_rates(one.structure, one.rates)] for one in task.history]
    facts = [task.structure.as_lists(), str(task.budget), task.seed]
    return fingerprint([*facts, history] if history else facts)


def _rates(structure: DilationStructure | None, rates: tuple[int, ...]) -> list[Any]:
    """Return JSON values that identify rates."""
    return [None if structure is None else structure.as_lists(), list(rates)]
