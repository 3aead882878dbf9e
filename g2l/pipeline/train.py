"""Training one structure under several seeds, and scoring each result on the test partition."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from g2l.config import Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.figures.results import HoldoutCurve, holdout_curves
from g2l.files import write_json
from g2l.metrics.scores import VideoScores, metric_value
from g2l.metrics.summary import Summary, mean_over_folds, summarize
from g2l.models.artifact import save_model
from g2l.pipeline.context import RunContext
from g2l.pipeline.data import describe_data
from g2l.pipeline.fitting import CHECKPOINT, MODEL, Training, fit_network, score_videos
from g2l.pipeline.folds import run_in_folds
from g2l.pipeline.select import SelectionOutcome, select
from g2l.receptive_field import describe
from g2l.records import RunKind, read_epochs, write_result
from g2l.seeds import SeedPlan
from g2l.structure import DilationStructure
from g2l.training.device import resolve_device
from g2l.training.evaluate import evaluate_model, model_metadata

METRICS = "metrics.json"

_log = logging.getLogger("g2l")


@dataclass(frozen=True, kw_only=True)
class SeedOutcome:
    """One trained network: metrics in percent (no `holdout` where nothing was held out), steps it took.

    `videos` are the scores of each test video; empty where g2l 0.1.0 trained it.
    """

    seed: int
    model: Path
    holdout: Mapping[str, float]
    test: Mapping[str, float]
    steps: int
    videos: Mapping[str, VideoScores] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """One structure trained under several seeds, each for so many epochs.

    `selected` is what the hold-outs chose; None without refit.
    """

    structure: DilationStructure
    seeds: tuple[SeedOutcome, ...]
    epochs: int = 0
    selected: SelectionOutcome | None = None
    run_id: str | None = None

    def test(self) -> dict[str, Summary]:
        """Return mean and standard deviation of every test metric over the seeds."""
        return summarize([outcome.test for outcome in self.seeds])

    @property
    def steps(self) -> int:
        """Optimiser steps of all trainings, those on hold-outs included."""
        return sum(one.steps for one in self.seeds) + (0 if self.selected is None else self.selected.steps)

    def chosen(self, monitor: str) -> SeedOutcome:
        """Return the seed with the best hold-out score, the first one when nothing was held out."""
        return max(self.seeds, key=lambda s: metric_value(s.holdout, monitor) if s.holdout else 0.0)


def train(
    context: RunContext,
    training: Training,
    seed: int,
    count: int,
    *,
    folder: str = "",
    selected: SelectionOutcome | None = None,
) -> TrainingOutcome:
    """Train a structure under several seeds; the test partition is only reported on, never selected by.

    With `refit` as many trainings on hold-outs come first, which choose the number of epochs; then every seed
    is trained on all of train for that long.

    The seeds are `count` of those that `SeedPlan` makes of the seed of the run. `selected` is what the
    hold-outs have chosen already, or None.

    Raises:
        InputError: Data, structure or settings are wrong.
        OperationalError: The loss diverged.
    """
    training.recipe.validate()
    training.backbone.validate().fit(training.structure, training.origin)
    refits = training.recipe.refit and training.recipe.selection is Selection.BEST
    if refits:
        context.data.standardized(training.data, Selection.BEST)  # refused here if nothing can be held out
    final = Selection.LAST if refits else training.recipe.selection
    dataset = context.data.standardized(training.data, final)
    training = replace(training, data=dataset.config)  # with the facts of the data set
    seeds = [SeedPlan(seed).final(number) for number in range(count)]
    with context.stage(
        RunKind.TRAIN, f"train {training.origin}", training.settings() | {"seeds": seeds}, folder
    ) as stage:
        describe_data(stage.folder, dataset, dataset.partitions(final), resume=stage.resume)
        if refits:
            if selected is None:
                if stage.result is None:
                    _log.info(
                        "Trainings: %d on a part of train, to choose the number of epochs; then %d on all of "
                        "train (--refit false: only %d on a part).",
                        *(count,) * 3,
                    )
                selected = select(stage, training, seed=seed, count=count, folder="select")
            chosen = training.recipe.replace(epochs=selected.epochs, selection=final)
            training = replace(training, recipe=chosen)
        outcome = TrainingOutcome(
            structure=training.structure,
            epochs=training.recipe.epochs,
            selected=selected,
            seeds=tuple(_train_seed(stage, training, dataset, one) for one in seeds),
            run_id=stage.run_id,
        )
        if stage.result is None:
            _write_result(stage, outcome, training.recipe.monitor)
    return outcome


def train_folds(
    context: RunContext, training: Training, folds: tuple[int, ...], seed: int, count: int, workers: int = 1
) -> dict[int, TrainingOutcome]:
    """Train a structure in some folds, of which so many at once; a single one is the run itself."""

    def summarise(found: dict[int, TrainingOutcome]) -> dict[str, Any]:
        tests = [test for outcome in found.values() if (test := outcome.test())]
        means = mean_over_folds(tests) if tests else {}
        metrics = {f"test/{name}": score.mean for name, score in means.items()}
        return {"result": {"mean": metrics}, "metrics": metrics}

    work = partial(_train_fold, seed=seed, count=count)
    name = f"train {training.origin}"
    return run_in_folds(
        context, name, training, folds, work, summarise, workers=workers, seed=seed, count=count
    )


def _train_fold(
    context: RunContext, training: Training, folder: str, *, seed: int, count: int
) -> TrainingOutcome:
    return train(context, training, seed, count, folder=folder)


def _write_result(stage: RunContext, outcome: TrainingOutcome, monitor: str) -> None:
    """Draw the hold-out curves of the seeds, where something was held out, and write what was found."""
    seeds = [seed.seed for seed in outcome.seeds]
    epochs = {seed: read_epochs(stage.folder / f"seed-{seed}") for seed in seeds}
    scores = {
        seed: [metric_value(one.metrics, monitor) for one in of if one.metrics] for seed, of in epochs.items()
    }
    curves = {f"seed {seed}": HoldoutCurve.of([of]) for seed, of in scores.items() if of}
    if curves:
        stage.draw("curves", holdout_curves(curves, monitor))
    test = outcome.test()
    metrics = {f"test/{name}": score.mean for name, score in test.items()}
    metrics |= {f"test_std/{name}": score.std for name, score in test.items() if score.std is not None}
    result = {
        "seeds": seeds,
        "test": {name: str(score) for name, score in test.items()},
        "epochs": outcome.epochs,
    }
    write_result(stage.folder, result, metrics=metrics)


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
    device, selection = resolve_device(stage.device), training.recipe.selection
    partitions = dataset.partitions(selection)

    def score(network: nn.Module) -> Mapping[str, float]:
        return evaluate_model(network, dataset, partitions.holdout, device=device)

    model, trained = fit_network(stage, training, dataset, partitions, seed=seed, evaluate=score)
    videos, test = score_videos(model, dataset, partitions.test, device)
    holdout = dict(trained.metrics)
    metadata = model_metadata(
        dataset,
        backbone=training.backbone,
        structure=training.structure,
        selection=selection,
        seed=seed,
        metrics={f"holdout/{name}": value for name, value in holdout.items()}
        | {f"test/{name}": value for name, value in test.items()},
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
