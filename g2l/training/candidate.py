"""A short training as the score of a structure: the fitness of the global search."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

from g2l.config import BackboneConfig, Budget, DataConfig, RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.errors import G2LError, InputError
from g2l.evaluation import Evaluation, EvaluationTask
from g2l.files import fingerprint
from g2l.models.artifact import save_model
from g2l.models.registry import build_backbone
from g2l.training.device import one_thread, resolve_device, seed_everything
from g2l.training.evaluate import evaluate_model, model_metadata
from g2l.training.loop import Training

SAVE_SECONDS = 60.0
"""A kill costs at most about this much training; most candidates are done before."""

_log = logging.getLogger("g2l")


@dataclass(frozen=True, kw_only=True)
class CandidateFitness:
    """Trains a structure and scores it on hold-outs: after each epoch, or after a budget of steps.

    Implements `g2l.evaluation.Fitness`. Uses one CPU thread (see `one_thread`), since several candidates at
    a time use all cores better than one does. Under one seed every structure of one shape starts from the
    same weights and sees the same batches and dropout, since none depends on the rates. Picklable: a process
    that gets it opens the data set at the first call and keeps it.

    Attributes:
        data: Data set, split and how it is read.
        backbone: Kind of network and its feature maps.
        recipe: How it is trained; its epochs and selection are ignored.
        device: `auto`, `cpu` or `cuda`.
        checkpoint_folder: Where `<digest>/model.safetensors` is written, or None to keep no weights.
        training_folder: Where each training leaves the `last.ckpt` that larger budgets continue, or None.
        feature_folder: Where the processes of an executor share decoded features, or None to keep them in
            RAM. It changes no score.
        opened: The data set, where this process has opened it already; other processes open their own.
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
        """Return the evaluation of a task."""
        started = time.perf_counter()
        found = []
        dataset = self.opened or open_dataset(self.data, Path.cwd())
        with one_thread():
            for holdout in task.holdouts:
                training = CandidateTraining(
                    task,
                    candidate_dataset(dataset, holdout, self.feature_folder),
                    self.backbone,
                    self.recipe,
                    holdout=holdout,
                    device=self.device,
                    folder=self.training_folder,
                )
                found.append(training.scores())
        metrics = {name: fmean(scores[-1][name] for scores in found) for name in found[0][-1]}
        curve = {}
        if task.budget.unit == "epochs":
            epochs = zip(*found, strict=True)
            rows = [{name: fmean(one[name] for one in scores) for name in metrics} for scores in epochs]
            curve = {name: tuple(row[name] for row in rows) for name in metrics if name not in _COUNTS}
        return Evaluation(
            **vars(task),
            metrics=metrics,
            curve=curve,
            checkpoint=self._save(training, task, metrics),
            seconds=time.perf_counter() - started,
        )

    def _save(
        self, training: CandidateTraining, task: EvaluationTask, metrics: Mapping[str, float]
    ) -> Path | None:
        """Write the model of the last hold-out; return where."""
        if self.checkpoint_folder is None:
            return None
        path = self.checkpoint_folder / _digest(task) / "model.safetensors"
        metadata = model_metadata(
            training.dataset,
            backbone=self.backbone,
            structure=task.structure,
            selection=Selection.BEST,
            seed=task.seed,
            metrics={f"holdout/{name}": value for name, value in metrics.items()},
        )
        save_model(path, training.model, metadata)
        return path


class CandidateTraining:
    """The training of one candidate on what a hold-out leaves; its weights are a function of the task alone.

    `dataset` is as `candidate_dataset` returns it; trainings keep `<key>/last.ckpt` in `folder`, if any.
    """

    def __init__(
        self,
        task: EvaluationTask,
        dataset: SegmentationDataset,
        backbone: BackboneConfig,
        recipe: RecipeConfig,
        *,
        holdout: int,
        device: str,
        folder: Path | None = None,
    ) -> None:
        self.dataset = dataset
        partitions = dataset.partitions(Selection.BEST, holdout)
        recipe = recipe.replace(selection=Selection.LAST, compile=False)
        source = BatchSource(dataset, partitions.train, batch_size=recipe.batch_size, seed=task.seed)
        self._by_epoch = task.budget.unit == "epochs"
        self._last = task.budget.amount * (len(source) if self._by_epoch else 1)
        self._holdout = partitions.holdout
        seed_everything(task.seed)
        self.model = build_backbone(
            backbone, task.structure, feature_dim=dataset.feature_dim, num_classes=len(dataset.mapping.names)
        )
        self._training = Training(self.model, source, recipe, seed=task.seed, device=resolve_device(device))
        # Steps, also where epochs are counted: a larger budget continues the training of a smaller one.
        self._identity = self._training.identity(Budget(self._last, "steps")) | {
            "scored": "epochs" if self._by_epoch else "end"
        }
        key = fingerprint([task.structure.as_lists(), task.seed, holdout, self._by_epoch])
        self._path = None if folder is None else folder / key / "last.ckpt"
        self._saved = time.monotonic()

    def scores(self) -> list[dict[str, float]]:
        """Train to the end of the budget; return the hold-out metrics in percent, the last ones last."""
        if self._path is not None and self._path.exists():
            try:
                self._training.load(self._path, self._identity, self._last)
            except InputError as error:
                _log.warning("%s The candidate is trained from the start.", error)
        if self._training.state.step < self._last:
            self._training.advance(
                self._last, score=self._score if self._by_epoch else None, on_record=self._save_sometimes
            )
            self._save()
        if not self._by_epoch:
            return [self._score()]
        return [dict(record.metrics) for record in self._training.state.history]

    def _score(self) -> dict[str, float]:
        return evaluate_model(self.model, self.dataset, self._holdout, device=self._training.device)

    def _save_sometimes(self, _: object) -> None:
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        """Write the checkpoint; a disk error only costs later work."""
        if self._path is None:
            return
        try:
            self._training.save(self._path, self._identity)
        except G2LError as error:
            _log.warning("%s The candidate cannot be continued later.", error)
        self._saved = time.monotonic()


_COUNTS = ("videos", "frames")
"""Metrics that are the same after each epoch."""


@lru_cache(maxsize=1)
def open_dataset(config: DataConfig, working_folder: Path) -> SegmentationDataset:
    """Return a data set, opened once in a process; a relative data root is relative to `working_folder`."""
    return SegmentationDataset.open(config, quiet=True)  # the search has reported its notices


@lru_cache(maxsize=2)
def candidate_dataset(
    dataset: SegmentationDataset, holdout: int = 0, feature_folder: Path | None = None
) -> SegmentationDataset:
    """Return a data set as the candidates of one hold-out see it: standardised on their training videos."""
    dataset = dataset.standardized_on(dataset.partitions(Selection.BEST, holdout).train)
    return dataset if feature_folder is None else dataset.shared_in(feature_folder)


def _digest(task: EvaluationTask) -> str:
    holdouts = [list(task.holdouts)] if task.holdouts != (0,) else []
    return fingerprint([task.structure.as_lists(), str(task.budget), task.seed, *holdouts])
