"""Training one structure under several seeds, and scoring each result on the test partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from g2l.config import BackboneConfig, DataConfig, LocalSearchConfig, RecipeConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import SegmentationDataset
from g2l.files import write_json
from g2l.metrics.accumulator import SegmentationMetrics
from g2l.metrics.scores import VideoScores, metric_value
from g2l.metrics.summary import Summary, summarize
from g2l.models.artifact import save_model
from g2l.models.registry import build_backbone
from g2l.pipeline.context import RunContext
from g2l.pipeline.data import describe_data
from g2l.receptive_field import Ending, branch_layers, describe, finish, structure
from g2l.receptive_field.endings import end_layers
from g2l.records import EPOCHS, EpochRecord, LineLog, RunKind, write_result
from g2l.search.local_search import give_branches
from g2l.structure import DilationStructure
from g2l.training.description import model_metadata
from g2l.training.device import resolve_device, seed_everything
from g2l.training.evaluate import evaluate_model, predict_labels
from g2l.training.loop import fit
from g2l.training.state import TrainingResult

MODEL = "model.safetensors"
CHECKPOINT = "last.ckpt"
METRICS = "metrics.json"


@dataclass(frozen=True, kw_only=True)
class SeedOutcome:
    """One trained network.

    Attributes:
        seed: Its seed.
        model: Its `model.safetensors`.
        holdout: Hold-out metrics in percent; empty when nothing was held out.
        test: Test metrics in percent.
        steps: Optimiser steps it took.
        videos: Scores of each test video; empty where g2l 0.1.0 trained it.
    """

    seed: int
    model: Path
    holdout: Mapping[str, float]
    test: Mapping[str, float]
    steps: int
    videos: Mapping[str, VideoScores] = field(default_factory=dict)


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


def train(
    context: RunContext, training: Training, seeds: Sequence[int], *, folder: str = ""
) -> TrainingOutcome:
    """Train a structure once per seed; the test partition is only reported on, never selected by.

    Args:
        context: Where it runs.
        training: What is trained.
        seeds: One training for each.
        folder: Of the stage, below that of the context.

    Raises:
        InputError: Data, structure or settings are wrong.
        OperationalError: The loss diverged.
    """
    training.recipe.validate()
    training.backbone.validate().fit(training.structure, training.origin)
    dataset = context.data.standardized(training.data, training.recipe.selection)
    training = replace(training, data=dataset.config)  # with the facts of the data set
    partitions = dataset.partitions(training.recipe.selection)
    settings = training.settings() | {"seeds": list(seeds)}
    with context.stage(RunKind.TRAIN, f"train {training.origin}", settings, folder) as stage:
        describe_data(stage.folder, dataset, partitions, resume=stage.resume)
        outcome = TrainingOutcome(
            structure=training.structure,
            seeds=tuple(_train_seed(stage, training, dataset, seed) for seed in seeds),
            run_id=stage.run_id,
        )
        if stage.result is None:
            _write_result(stage.folder, outcome)
    return outcome


def _write_result(folder: Path, outcome: TrainingOutcome) -> None:
    scores = outcome.test()
    metrics = {f"test/{name}": score.mean for name, score in scores.items()}
    metrics |= {f"test_std/{name}": score.std for name, score in scores.items() if score.std is not None}
    seeds = [seed.seed for seed in outcome.seeds]
    result = {"seeds": seeds, "test": {name: str(score) for name, score in scores.items()}}
    write_result(folder, result, metrics=metrics)


def _train_seed(
    context: RunContext, training: Training, dataset: SegmentationDataset, seed: int
) -> SeedOutcome:
    settings = training.settings() | {"seed": seed}
    name = f"{training.origin} seed {seed}"
    with context.stage(RunKind.SEED, name, settings, f"seed-{seed}") as stage:
        result = stage.result or _fit_and_score(stage, training, dataset, seed)
        return SeedOutcome(
            seed=seed,
            model=stage.folder / MODEL,
            holdout=result["holdout"],
            test=result["test"],
            steps=result["steps"],
            videos={
                name: VideoScores.from_dict(scores) for name, scores in result.get("test_videos", {}).items()
            },
        )


def _fit_and_score(
    stage: RunContext, training: Training, dataset: SegmentationDataset, seed: int
) -> dict[str, Any]:
    """Train one network, score it once on test, and write model, metrics and result."""
    device = resolve_device(stage.device)
    model, trained = _fit(stage, training, dataset, seed, device)
    partitions = dataset.partitions(training.recipe.selection)
    scored = SegmentationMetrics(background=dataset.background_indices)
    videos = {
        name: scored.update(predict_labels(model, dataset, name, device), dataset.ground_truth(name))
        for name in partitions.test
    }
    test = scored.compute()
    holdout = dict(trained.metrics)
    metadata = model_metadata(
        dataset,
        backbone=training.backbone,
        structure=training.structure,
        selection=training.recipe.selection,
        seed=seed,
        metrics=_prefixed("holdout", holdout) | _prefixed("test", test),
        run_id=stage.run_id,
        layers=None if training.branching is None else describe(model),
    )
    save_model(stage.folder / MODEL, model, metadata)
    write_json(stage.folder / METRICS, test)
    result = {
        "holdout": holdout,
        "test": test,
        "test_videos": {name: scores.as_dict() for name, scores in videos.items()},
        "steps": trained.steps,
        "best_epoch": trained.best_epoch,
    }
    files = (MODEL, CHECKPOINT, METRICS)
    write_result(stage.folder, result, files, metrics=metadata.metrics, step=trained.epochs)
    return result


def _fit(
    stage: RunContext, training: Training, dataset: SegmentationDataset, seed: int, device: torch.device
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
        groups = give_branches(
            model,
            training.branching,
            longest_video=dataset.longest(partitions.train),
            learning_rate=recipe.learning_rate,
        )
        freeze_branches(model)
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
        resume=stage.resume,
        progress=stage.progress,
        on_epoch=epoch_log(stage.folder).append,
    )
    if training.branching is not None and training.branching.ending is Ending.MERGE:
        finish(model, Ending.MERGE)
    return model, trained


def freeze_branches(model: nn.Module) -> None:
    """Keep the branches of a network around its present rates and only train them (RF-Next, section 3.4)."""
    layers, rates = branch_layers(model), structure(model)
    end_layers(layers, {name: rates[name] for name in layers}, Ending.MULTIPLE)


def epoch_log(folder: Path) -> LineLog:
    """Return the log of a training's epochs; what a resumed training repeats is not written again."""
    return LineLog(folder / EPOCHS, EpochRecord)


def _prefixed(partition: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"{partition}/{name}": value for name, value in metrics.items()}
