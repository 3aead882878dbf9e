"""A short training as the score of a structure: what the global search asks for."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.evaluation import Evaluation, EvaluationTask
from g2l.files import fingerprint
from g2l.models.artifact import save_model
from g2l.training.candidate import CandidateTraining
from g2l.training.candidate_group import CandidateGroup, can_be_grouped
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
        averaging: Decay of the exponential moving average of the weights that is scored and kept (see
            `AveragedWeights`), or None for the last weights themselves.
        checkpoint_folder: Where `<digest>/model.safetensors` is written, or None to keep no weights.
        training_folder: Where each training leaves the `last.ckpt` that larger budgets and heirs go on from
            (see `CandidateTraining`), or None.
        feature_folder: Where the processes of an executor share decoded features, or None to keep them in
            RAM. It changes no score.
        group_size: How many tasks of one budget and seed are trained as one network (see `CandidateGroup`);
            tasks with a lineage are trained one by one, and so are all where there is a `training_folder` or
            the backbone is not ours.
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    device: str = "auto"
    averaging: float | None = None
    checkpoint_folder: Path | None = None
    training_folder: Path | None = None
    feature_folder: Path | None = None
    group_size: int = 1

    def identity(self) -> dict[str, Any]:
        """Return, as JSON values, what scores depend on beside task, data, backbone and recipe."""
        return {"averaging": self.averaging, "group_size": self.group_size if self._groups else 1}

    def __call__(self, group: Sequence[EvaluationTask]) -> list[Evaluation]:
        """Return the evaluations of some tasks, in their order.

        Raises:
            InputError: The data cannot be read, a structure does not fit the backbone, a lineage cannot be
                followed, or there is no GPU.
            OperationalError: The loss is not finite, or memory runs out.
        """
        done: dict[EvaluationTask, Evaluation] = {}
        with one_thread():
            for tasks in self._parts(group):
                done |= {evaluation.task: evaluation for evaluation in self._evaluate(tasks)}
        return [done[task] for task in group]

    @property
    def _groups(self) -> bool:
        return self.group_size > 1 and self.training_folder is None and can_be_grouped(self.backbone)

    def _parts(self, group: Sequence[EvaluationTask]) -> Iterator[list[EvaluationTask]]:
        """Yield what is trained as one network; who is beside whom changes no score."""
        together = defaultdict[Any, list[EvaluationTask]](list)
        for task in dict.fromkeys(group):
            if self._groups and not task.lineage:
                together[task.budget, task.seed].append(task)
            else:
                yield [task]
        for tasks in together.values():
            yield from (tasks[n : n + self.group_size] for n in range(0, len(tasks), self.group_size))

    def _evaluate(self, tasks: list[EvaluationTask]) -> list[Evaluation]:
        started = time.perf_counter()
        evaluations = self._together(tasks) if self._groups and not tasks[0].lineage else self._alone(*tasks)
        seconds = (time.perf_counter() - started) / len(tasks)
        return [replace(evaluation, seconds=seconds) for evaluation in evaluations]

    def _alone(self, task: EvaluationTask) -> list[Evaluation]:
        candidate = CandidateTraining(
            task,
            data=self.data,
            backbone=self.backbone,
            recipe=self.recipe,
            device=self.device,
            averaging=self.averaging,
            folder=self.training_folder,
            feature_folder=self.feature_folder,
        )
        candidate.train()
        with candidate.averaged_weights():
            return [self._saved(candidate.dataset, candidate.model, task, candidate.score())]

    def _together(self, tasks: list[EvaluationTask]) -> list[Evaluation]:
        group = CandidateGroup(
            tasks,
            size=self.group_size,
            data=self.data,
            backbone=self.backbone,
            recipe=self.recipe,
            device=self.device,
            averaging=self.averaging,
            feature_folder=self.feature_folder,
        )
        group.train()
        with group.averaged_weights():
            scored = zip(group.networks(), tasks, group.scores(), strict=True)
            return [self._saved(group.dataset, *candidate) for candidate in scored]

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
