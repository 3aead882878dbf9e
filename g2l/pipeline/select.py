"""Selection: trainings on rotated hold-outs, which choose how long a structure is trained and how good it is.

Reported networks are trained later, on all of train and under other seeds (`g2l.seeds`). Epochs carry over
to the larger set, optimiser steps do not: the best number of epochs on a half or three quarters of the videos
is about the best on all of them (METHOD, section 8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from g2l.config import Selection
from g2l.figures.results import HoldoutCurve, holdout_curves
from g2l.metrics.length import best_length
from g2l.metrics.scores import VideoScores, metric_value
from g2l.metrics.summary import Summary, summarize
from g2l.metrics.video_comparison import Trainings
from g2l.pipeline.context import RunContext
from g2l.pipeline.data import describe_data
from g2l.pipeline.fitting import CHECKPOINT, Training, fit_network, score_videos
from g2l.records import EpochRecord, LineLog, RunKind, now, read_records, write_result
from g2l.seeds import SeedPlan
from g2l.structure import DilationStructure
from g2l.training.device import resolve_device

HOLDOUT = "holdout.jsonl"
"""Scores of every held-out video after every epoch."""


@dataclass(frozen=True, kw_only=True)
class HoldoutEpoch:
    """A line of `holdout.jsonl`: the scores of the held-out videos after an epoch."""

    epoch: int
    videos: Mapping[str, Any]
    at: int = field(default_factory=now, compare=False)

    @property
    def key(self) -> int:
        """Files that a resumed training does not write again."""
        return self.epoch


@dataclass(frozen=True, kw_only=True)
class SelectionOutcome:
    """Hold-out results of one structure.

    Attributes:
        structure: Its rates.
        epochs: How long it is trained: where the smoothed mean of the hold-out curves is highest, or all
            epochs where the recipe keeps the last weights.
        holdout: Hold-out metrics after so many epochs, over the trainings.
        trainings: Scores of the held-out videos after so many epochs, by (fold and rotation, number).
        steps: Optimiser steps of all trainings.
    """

    structure: DilationStructure
    epochs: int
    holdout: Mapping[str, Summary]
    trainings: Trainings = field(repr=False)
    steps: int


def select(
    context: RunContext, training: Training, *, seed: int, count: int, folder: str
) -> SelectionOutcome:
    """Train a structure on `count` hold-outs, each under a seed of its own.

    Training n holds out rotation n, and starts over with the first one when all were held out. With a larger
    count the trainings of a smaller one are used again.

    Raises:
        InputError: Data, structure or settings are wrong, or nothing can be held out.
        OperationalError: The loss diverged.
    """
    rotations = context.data.open(training.data).rotations
    settings = training.settings() | {"seed": seed}
    with context.stage(RunKind.SELECT, f"select {training.origin}", settings, folder) as stage:
        found = [_train_on_holdout(stage, training, number, rotations, seed) for number in range(count)]
        epochs = training.recipe.epochs
        if training.recipe.selection is Selection.BEST:
            epochs = best_length([one["curve"] for one in found])
        outcome = SelectionOutcome(
            structure=training.structure,
            epochs=epochs,
            holdout=summarize([one["metrics"][epochs - 1] for one in found]),
            trainings={
                (f"{training.data.split}.{number % rotations}", number): {
                    name: VideoScores.from_dict(scores) for name, scores in lines[epochs - 1].videos.items()
                }
                for number, lines in enumerate(
                    read_records(stage.folder / f"holdout-{number}" / HOLDOUT, HoldoutEpoch)
                    for number in range(count)
                )
            },
            steps=sum(one["steps"] for one in found),
        )
        if stage.result is None or stage.result["trainings"] < count:
            curve = HoldoutCurve.of([one["curve"] for one in found])
            stage.draw("curves", holdout_curves({training.origin: curve}, training.recipe.monitor))
            metrics = {f"holdout/{name}": score.mean for name, score in outcome.holdout.items()}
            result = {"epochs": epochs, "steps": outcome.steps, "trainings": count}
            write_result(stage.folder, result, metrics=metrics | {"epochs": epochs})
    return outcome


def _train_on_holdout(
    context: RunContext, training: Training, number: int, rotations: int, seed: int
) -> Mapping[str, Any]:
    """Train on what one rotation leaves, scoring its hold-out after every epoch; only scores are kept."""
    rotation, own_seed = number % rotations, SeedPlan(seed).selection(number)
    recipe = training.recipe.replace(selection=Selection.BEST)
    training = replace(training, recipe=recipe)
    settings = training.settings() | {"rotation": rotation, "seed": own_seed}
    name = f"{training.origin} hold-out {number + 1}"
    with context.stage(RunKind.HOLDOUT, name, settings, f"holdout-{number}") as stage:
        if stage.result is not None:
            (stage.folder / CHECKPOINT).unlink(missing_ok=True)
            return stage.result
        dataset = stage.data.standardized(training.data, Selection.BEST, rotation)
        partitions = dataset.partitions(Selection.BEST, rotation)
        describe_data(stage.folder, dataset, partitions, resume=stage.resume)
        log = LineLog(stage.folder / HOLDOUT, HoldoutEpoch)
        device = resolve_device(stage.device)
        latest: Mapping[str, VideoScores] = {}

        def score(network: nn.Module) -> Mapping[str, float]:
            nonlocal latest
            latest, metrics = score_videos(network, dataset, partitions.holdout, device)
            return metrics

        def keep(epoch: EpochRecord) -> None:
            videos = {name: scores.as_dict() for name, scores in latest.items()}
            log.append(HoldoutEpoch(epoch=epoch.epoch, videos=videos))

        _, trained = fit_network(
            stage, training, dataset, partitions, seed=own_seed, evaluate=score, on_epoch=keep
        )
        metrics = [dict(epoch.metrics) for epoch in trained.history]
        result = {
            "curve": [metric_value(one, recipe.monitor) for one in metrics],
            "metrics": metrics,
            "steps": trained.steps,
        }
        write_result(stage.folder, result, (HOLDOUT,), metrics=dict(trained.metrics), step=trained.epochs)
        (stage.folder / CHECKPOINT).unlink(missing_ok=True)
        return result
