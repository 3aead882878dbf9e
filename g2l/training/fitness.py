"""A short training as the score of a structure: what the global search asks for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from torch import nn

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.evaluation import Evaluation, EvaluationTask
from g2l.files import fingerprint
from g2l.models.artifact import save_model
from g2l.models.registry import build_backbone
from g2l.training.description import model_metadata
from g2l.training.device import one_thread, resolve_device, seed_everything
from g2l.training.evaluation import evaluate_model
from g2l.training.loop import fit


@dataclass(frozen=True, kw_only=True)
class ShortTrainingFitness:
    """Trains a structure for a budget and scores its last weights once, on the hold-out.

    Implements `g2l.evaluation.Fitness`. Uses one CPU thread (see `one_thread`), since several candidates at
    a time use all cores better than one does. Under one seed every structure starts from the same weights
    and sees the same batches, since neither depends on the rates. Picklable: a process that gets it opens
    the data set at the first call and keeps it.

    Attributes:
        data: Data set, split and how it is read.
        backbone: Size of the network.
        recipe: How it is trained; its epochs and selection do not matter here.
        device: `auto`, `cpu` or `cuda`.
        checkpoint_folder: Where `<digest>/model.safetensors` is written, or None to keep no weights.
        group_size: How many tasks of one group are trained as one network.
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    device: str = "auto"
    checkpoint_folder: Path | None = None
    group_size: int = 1

    def __call__(self, group: Sequence[EvaluationTask]) -> list[Evaluation]:
        """Return the evaluations of some tasks, trained one by one.

        Raises:
            InputError: The data cannot be read, the structure does not fit the backbone, or there is no GPU.
            OperationalError: The loss is not finite, or memory runs out.
        """
        with one_thread():
            return [self._evaluate(task) for task in group]

    def _evaluate(self, task: EvaluationTask) -> Evaluation:
        started = time.perf_counter()
        dataset = _open(self.data, Path.cwd())
        device = resolve_device(self.device)
        partitions = dataset.partitions(Selection.BEST)
        seed_everything(task.seed)
        model = build_backbone(
            self.backbone,
            task.structure,
            feature_dim=dataset.feature_dim,
            num_classes=len(dataset.mapping.names),
        )
        result = fit(
            model,
            BatchSource(dataset, partitions.train, batch_size=self.recipe.batch_size, seed=task.seed),
            self.recipe.replace(selection=Selection.LAST),
            seed=task.seed,
            device=device,
            budget=task.budget,
            evaluate=lambda network: evaluate_model(network, dataset, partitions.holdout, device=device),
        )
        evaluation = Evaluation(**vars(task), metrics=result.metrics)
        checkpoint = self._save(model, evaluation, dataset)
        return replace(evaluation, checkpoint=checkpoint, seconds=time.perf_counter() - started)

    def _save(self, model: nn.Module, evaluation: Evaluation, dataset: SegmentationDataset) -> Path | None:
        if self.checkpoint_folder is None:
            return None
        digest = fingerprint([evaluation.structure.as_lists(), str(evaluation.budget), evaluation.seed])
        path = self.checkpoint_folder / digest / "model.safetensors"
        metadata = model_metadata(
            dataset,
            backbone=self.backbone,
            structure=evaluation.structure,
            seed=evaluation.seed,
            metrics={f"holdout/{name}": value for name, value in evaluation.metrics.items()},
        )
        save_model(path, model, metadata)
        return path


@lru_cache(maxsize=1)
def _open(config: DataConfig, working_folder: Path) -> SegmentationDataset:
    """Return the data set, which a relative data root names only together with the working folder."""
    dataset = SegmentationDataset.open(config)
    return dataset.standardized_on(dataset.partitions(Selection.BEST).train)
