"""Training one structure under several seeds, and scoring each result on the test partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.files import write_json
from g2l.metrics.scores import metric_value
from g2l.metrics.summary import Summary, summarize
from g2l.models.artifact import save_model
from g2l.models.registry import build_backbone
from g2l.pipeline.branching import fix_branches
from g2l.pipeline.records import EpochLog, describe_data
from g2l.pipeline.stage import Stage, Workplace, open_stage
from g2l.receptive_field import Ending, describe, finish
from g2l.search_config import LocalSearchConfig
from g2l.structure import DilationStructure
from g2l.tracking.protocol import RunKind
from g2l.training.description import model_metadata
from g2l.training.device import resolve_device, seed_everything
from g2l.training.evaluate import evaluate_model
from g2l.training.loop import fit
from g2l.training.state import TrainingResult

MODEL = "model.safetensors"
CHECKPOINT = "last.ckpt"


@dataclass(frozen=True, kw_only=True)
class SeedOutcome:
    """One trained network.

    Attributes:
        seed: Its seed.
        model: Its `model.safetensors`.
        holdout: Hold-out metrics in percent; empty when nothing was held out.
        test: Test metrics in percent.
        steps: Optimiser steps it took.
    """

    seed: int
    model: Path
    holdout: Mapping[str, float]
    test: Mapping[str, float]
    steps: int


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """One structure trained under several seeds."""

    structure: DilationStructure
    seeds: tuple[SeedOutcome, ...]
    run_id: str | None = None

    def test(self) -> dict[str, Summary]:
        """Return mean and standard deviation of every test metric over the seeds."""
        return summarize([outcome.test for outcome in self.seeds])

    def chosen(self, monitor: str) -> SeedOutcome:
        """Return the seed with the best hold-out score, the first one when nothing was held out."""
        return max(self.seeds, key=lambda s: metric_value(s.holdout, monitor) if s.holdout else 0.0)


@dataclass(frozen=True, kw_only=True)
class Training:
    """What is trained: everything but the seed.

    Attributes:
        data: Data set, split and how it is read.
        backbone: Size of the network.
        recipe: How it is trained.
        structure: Its dilation rates.
        origin: `hand-designed`, or where the structure came from.
        branching: Branches that each layer has around its rate, and whether they are merged in the end; None
            for one rate per layer.
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    structure: DilationStructure
    origin: str
    branching: LocalSearchConfig | None = None

    def settings(self) -> dict[str, Any]:
        """Return the resolved configuration as JSON values."""
        return {
            "data": self.data.as_dict(),
            "backbone": self.backbone.as_dict(),
            "recipe": self.recipe.as_dict(),
            "structure": self.structure.as_lists(),
            "origin": self.origin,
            "branching": None if self.branching is None else self.branching.as_dict(),
        }


def train(place: Workplace, training: Training, seeds: Sequence[int]) -> TrainingOutcome:
    """Train a structure once per seed; the test partition is only reported on, never selected by.

    Raises:
        InputError: Data, structure or settings are wrong.
        OperationalError: The loss diverged.
    """
    training.recipe.validate()
    training.backbone.validate().fit(training.structure, training.origin)
    dataset = SegmentationDataset.open(training.data)
    partitions = dataset.partitions(training.recipe.selection)
    dataset = dataset.standardized_on(partitions.train)
    settings = training.settings() | {"seeds": list(seeds)}
    with open_stage(place, RunKind.TRAIN, f"train {training.origin}", settings) as stage:
        describe_data(stage, dataset, partitions)
        stage.run.log_dict(training.structure.as_lists(), "structure.json")
        outcome = TrainingOutcome(
            structure=training.structure,
            seeds=tuple(_train_seed(stage.below(f"seed-{seed}"), training, dataset, seed) for seed in seeds),
            run_id=stage.run.run_id,
        )
        if stage.result is None:
            _record(stage, outcome)
    return outcome


def _record(stage: Stage, outcome: TrainingOutcome) -> None:
    scores = outcome.test()
    stage.run.log_metrics({f"test/{name}": score.mean for name, score in scores.items()})
    stage.run.log_metrics({f"test_std/{n}": s.std for n, s in scores.items() if s.std is not None})
    seeds = [seed.seed for seed in outcome.seeds]
    stage.finish({"seeds": seeds, "test": {name: str(score) for name, score in scores.items()}})


def _train_seed(place: Workplace, training: Training, dataset: SegmentationDataset, seed: int) -> SeedOutcome:
    settings = training.settings() | {"seed": seed}
    with open_stage(place, RunKind.SEED, f"{training.origin} seed {seed}", settings) as stage:
        result = stage.result or _fit_and_score(stage, training, dataset, seed)
        return SeedOutcome(
            seed=seed,
            model=stage.folder / MODEL,
            holdout=result["holdout"],
            test=result["test"],
            steps=result["steps"],
        )


def _fit_and_score(
    stage: Stage, training: Training, dataset: SegmentationDataset, seed: int
) -> dict[str, Any]:
    """Train one network, score it once on test, and write model, metrics and result."""
    device = resolve_device(stage.place.device)
    model, trained = _fit(stage, training, dataset, seed, device)
    partitions = dataset.partitions(training.recipe.selection)
    test = evaluate_model(model, dataset, partitions.test, device=device)
    holdout = dict(trained.metrics)
    metadata = model_metadata(
        dataset,
        backbone=training.backbone,
        structure=training.structure,
        selection=training.recipe.selection,
        seed=seed,
        metrics=_prefixed("holdout", holdout) | _prefixed("test", test),
        run_id=stage.run.run_id,
        layers=None if training.branching is None else describe(model),
    )
    save_model(stage.folder / MODEL, model, metadata)
    write_json(stage.folder / "metrics.json", test)
    stage.run.log_metrics(metadata.metrics, step=trained.epochs)  # counted as the epochs before it are
    for name in (MODEL, CHECKPOINT, "metrics.json"):
        stage.run.log_artifact(stage.folder / name)
    result = {"holdout": holdout, "test": test, "steps": trained.steps, "best_epoch": trained.best_epoch}
    stage.finish(result)
    return result


def _fit(
    stage: Stage, training: Training, dataset: SegmentationDataset, seed: int, device: torch.device
) -> tuple[nn.Module, TrainingResult]:
    recipe = training.recipe
    partitions = dataset.partitions(recipe.selection)
    seed_everything(seed)
    model = build_backbone(
        training.backbone,
        training.structure,
        feature_dim=dataset.feature_dim,
        num_classes=len(dataset.mapping.names),
    )
    optimizer = None
    if training.branching is not None:
        search = fix_branches(model, training.branching, longest_video=dataset.longest(partitions.train))
        groups = search.parameter_groups(model, learning_rate=recipe.learning_rate)
        model.to(device)
        optimizer = torch.optim.Adam(groups, fused=True)

    def score(network: nn.Module) -> Mapping[str, float]:
        return evaluate_model(network, dataset, partitions.holdout, device=device)

    trained = fit(
        model,
        BatchSource(dataset, partitions.train, batch_size=recipe.batch_size, seed=seed),
        recipe,
        seed=seed,
        device=device,
        evaluate=score if recipe.selection is Selection.BEST else None,
        optimizer=optimizer,
        checkpoint=stage.folder / CHECKPOINT,
        resume=stage.place.resume,
        progress=stage.place.progress,
        on_epoch=EpochLog(stage.run),
    )
    if training.branching is not None and training.branching.ending is Ending.MERGE:
        finish(model, Ending.MERGE)
    return model, trained


def _prefixed(partition: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{partition}/{name}": value for name, value in metrics.items()}
