"""A short training as the score of a structure: what the global search asks for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.evaluation import Evaluation, EvaluationTask
from g2l.files import fingerprint
from g2l.models.artifact import save_model
from g2l.training.candidate import CandidateTraining
from g2l.training.description import model_metadata
from g2l.training.device import one_thread


@dataclass(frozen=True, kw_only=True)
class ShortTrainingFitness:
    """Trains a structure for a budget and scores its last weights once, on the hold-out.

    Implements `g2l.evaluation.Fitness`. Uses one CPU thread (see `one_thread`), since several candidates at
    a time use all cores better than one does. Under one seed every structure starts from the same weights
    and sees the same batches and dropout, since none depends on the rates. Picklable: a process that gets it
    opens the data set at the first call and keeps it.

    Attributes:
        data: Data set, split and how it is read.
        backbone: Size of the network.
        recipe: How it is trained; its epochs and selection do not matter here.
        device: `auto`, `cpu` or `cuda`.
        checkpoint_folder: Where `<digest>/model.safetensors` is written, or None to keep no weights.
        training_folder: Where each training leaves the `last.ckpt` that larger budgets and heirs go on from
            (see `CandidateTraining`), or None.
        feature_folder: Where the processes of an executor share decoded features, or None to keep them in
            RAM. It changes no score.
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    device: str = "auto"
    checkpoint_folder: Path | None = None
    training_folder: Path | None = None
    feature_folder: Path | None = None
    group_size = 1

    def __call__(self, group: Sequence[EvaluationTask]) -> list[Evaluation]:
        """Return the evaluations of some tasks, in their order.

        Raises:
            InputError: The data cannot be read, a structure does not fit the backbone, a lineage cannot be
                followed, or there is no GPU.
            OperationalError: The loss is not finite, or memory runs out.
        """
        with one_thread():
            return [self._evaluate(task) for task in group]

    def _evaluate(self, task: EvaluationTask) -> Evaluation:
        started = time.perf_counter()
        candidate = CandidateTraining(
            task,
            data=self.data,
            backbone=self.backbone,
            recipe=self.recipe,
            device=self.device,
            folder=self.training_folder,
            feature_folder=self.feature_folder,
        )
        candidate.train()
        evaluation = self._saved(candidate.dataset, candidate.model, task, candidate.score())
        return replace(evaluation, seconds=time.perf_counter() - started)

    def _saved(
        self,
        dataset: SegmentationDataset,
        model: nn.Module,
        task: EvaluationTask,
        metrics: Mapping[str, float],
    ) -> Evaluation:
        """Return the evaluation of a task, and write its model where weights of its own are kept."""
        evaluation = Evaluation(**vars(task), metrics=metrics)
        if self.checkpoint_folder is None or task.shares_weights:
            return evaluation
        path = self.checkpoint_folder / _digest(evaluation) / "model.safetensors"
        metadata = model_metadata(
            dataset,
            backbone=self.backbone,
            structure=task.structure,
            selection=Selection.BEST,
            seed=task.seed,
            metrics={f"holdout/{name}": value for name, value in metrics.items()},
        )
        save_model(path, model, metadata)
        return replace(evaluation, checkpoint=path)


def _digest(evaluation: Evaluation) -> str:
    task = [evaluation.structure.as_lists(), str(evaluation.budget), evaluation.seed]
    lineage = [
        [phase.until, phase.structure and phase.structure.as_lists(), list(phase.rates)]
        for phase in evaluation.lineage
    ]
    return fingerprint([*task, lineage] if lineage else task)
