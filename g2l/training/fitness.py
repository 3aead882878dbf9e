"""A short training as the score of a structure: what the global search asks for."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from torch import nn

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.evaluation import Budget, Evaluation
from g2l.files import fingerprint
from g2l.models.artifact import save_model
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure
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
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    device: str = "auto"
    checkpoint_folder: Path | None = None

    def __call__(self, structure: DilationStructure, budget: Budget, seed: int) -> Evaluation:
        """Return the evaluation of `structure` trained for `budget` under `seed`.

        Raises:
            InputError: The data cannot be read, the structure does not fit the backbone, or there is no GPU.
            OperationalError: The loss is not finite, or memory runs out.
        """
        with one_thread():
            return self._evaluate(structure, budget, seed)

    def _evaluate(self, structure: DilationStructure, budget: Budget, seed: int) -> Evaluation:
        started = time.perf_counter()
        dataset = _open(self.data, Path.cwd())
        device = resolve_device(self.device)
        partitions = dataset.partitions(Selection.BEST)
        seed_everything(seed)
        model = build_backbone(
            self.backbone,
            structure,
            feature_dim=dataset.feature_dim,
            num_classes=len(dataset.mapping.names),
        )
        result = fit(
            model,
            BatchSource(dataset, partitions.train, batch_size=self.recipe.batch_size, seed=seed),
            self.recipe.replace(selection=Selection.LAST),
            seed=seed,
            device=device,
            budget=budget,
            evaluate=lambda network: evaluate_model(network, dataset, partitions.holdout, device=device),
        )
        evaluation = Evaluation(structure=structure, budget=budget, seed=seed, metrics=result.metrics)
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
