"""One training of one structure: network, branches and data in, weights out; what all stages train with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from g2l.config import LocalSearchConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import Partitions, SegmentationDataset
from g2l.metrics.scores import SegmentationMetrics, VideoScores
from g2l.models.registry import build_backbone
from g2l.pipeline.context import RunContext, StageTask
from g2l.receptive_field import Ending, branch_layers, finish, structure
from g2l.receptive_field.endings import end_layers
from g2l.records import EPOCHS, EpochRecord, LineLog
from g2l.search.local_search import give_branches
from g2l.structure import DilationStructure
from g2l.training.device import resolve_device, seed_everything
from g2l.training.evaluate import predict_labels
from g2l.training.loop import fit
from g2l.training.state import TrainingResult

MODEL = "model.safetensors"
CHECKPOINT = "last.ckpt"


@dataclass(frozen=True, kw_only=True)
class Training(StageTask):
    """A training task: everything but the seed.

    `origin` is `hand-designed`, or where the structure came from. `branching` is the branches that each layer
    has around its rate, and whether they are merged in the end; None for one rate per layer.
    """

    structure: DilationStructure
    origin: str
    branching: LocalSearchConfig | None = None


def fit_network(
    stage: RunContext,
    training: Training,
    dataset: SegmentationDataset,
    partitions: Partitions,
    *,
    seed: int,
    evaluate: Callable[[nn.Module], Mapping[str, float]],
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> tuple[nn.Module, TrainingResult]:
    """Train one network, continuing the checkpoint of the stage where it resumes.

    Args:
        stage: Its folder gets `last.ckpt` and `epochs.jsonl`.
        training: What is trained.
        dataset: Standardised on the training videos.
        partitions: Whom it is trained on.
        seed: Of initialisation, batches and dropout.
        evaluate: Scores the network after each epoch, with `Selection.BEST`.
        on_epoch: Called with each epoch before it is recorded and saved, or None.
    """
    recipe, device = training.recipe, resolve_device(stage.device)
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
        # Branches stay around the present rates and are only trained (RF-Next, section 3.4).
        layers, rates = branch_layers(model), structure(model)
        end_layers(layers, {name: rates[name] for name in layers}, Ending.MULTIPLE)
        model.to(device)
        optimizer = torch.optim.Adam(groups, fused=True)
    log = epoch_log(stage.folder)

    def record(epoch: EpochRecord) -> None:
        if on_epoch is not None:
            on_epoch(epoch)
        log.append(epoch)

    trained = fit(
        model,
        BatchSource(dataset, partitions.train, batch_size=recipe.batch_size, seed=seed),
        recipe,
        seed=seed,
        device=device,
        evaluate=evaluate if recipe.selection is Selection.BEST else None,
        optimizer=optimizer,
        checkpoint=stage.folder / CHECKPOINT,
        resume=stage.resume,
        progress=stage.progress,
        on_epoch=record,
    )
    if training.branching is not None and training.branching.ending is Ending.MERGE:
        finish(model, Ending.MERGE)
    return model, trained


def score_videos(
    model: nn.Module, dataset: SegmentationDataset, names: tuple[str, ...], device: torch.device
) -> tuple[dict[str, VideoScores], dict[str, float]]:
    """Return the scores of each video, and the metrics over all of them in percent; none without videos."""
    scored = SegmentationMetrics(background=dataset.background_indices)
    videos = {
        name: scored.update(predict_labels(model, dataset, name, device), dataset.ground_truth(name))
        for name in names
    }
    return videos, scored.compute() if names else {}


def epoch_log(folder: Path) -> LineLog:
    """Return the log of a training's epochs; what a resumed training repeats is not written again."""
    return LineLog(folder / EPOCHS, EpochRecord)
