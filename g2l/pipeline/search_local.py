"""The local search as a stage: a structure goes in, a refined one and the weights found with it come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from g2l.config import Budget, LocalRule, LocalSearchConfig, Selection
from g2l.datasets.batching import BatchSource
from g2l.datasets.dataset import Partitions, SegmentationDataset
from g2l.figures.search import rate_paths
from g2l.models.artifact import save_model
from g2l.models.registry import build_backbone
from g2l.pipeline.context import RunContext, StageTask
from g2l.pipeline.data import describe_data
from g2l.pipeline.fitting import CHECKPOINT, MODEL, epoch_log
from g2l.receptive_field import Ending, SearchSchedule, describe
from g2l.receptive_field.schedule import Limit
from g2l.records import UPDATES, LineLog, LocalSearchUpdate, RunKind, write_result, write_table
from g2l.search.local_search import LocalSearch, give_branches
from g2l.search.space import SearchSpace, check_limits
from g2l.seeds import SeedPlan
from g2l.structure import DilationStructure
from g2l.structure_files import write_structure
from g2l.training.device import resolve_device, seed_everything
from g2l.training.evaluate import model_metadata
from g2l.training.loop import fit
from g2l.training.state import TrainingResult

STRUCTURE = "structure.json"


@dataclass(frozen=True, kw_only=True)
class LocalSearchOutcome:
    """One rate per layer, the weights trained while searching, and the optimiser steps that this took."""

    structure: DilationStructure
    model: Path
    steps: int
    run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class LocalSearchTask(StageTask):
    """A search task: where it starts, its settings and its seed.

    The recipe says how the network is trained meanwhile, on all of train. The training lasts at least until
    the last update, and always keeps the last weights, since earlier ones belong to other rates.
    """

    search: LocalSearchConfig
    structure: DilationStructure
    seed: int


def search_locally(context: RunContext, task: LocalSearchTask, folder: str = "") -> LocalSearchOutcome:
    """Refine a structure by the expectation-guided iterative search (G2L, section 3.3).

    Raises:
        InputError: Data, structure or settings are wrong.
        OperationalError: The loss diverged.
    """
    task.recipe.validate()
    task.search.validate()
    check_limits(task.search, task.backbone.validate().fit(task.structure), task.structure.shape)
    dataset = context.data.standardized(task.data, Selection.LAST)
    task = replace(task, data=dataset.config)  # with the facts of the data set
    partitions = dataset.partitions(Selection.LAST)
    with context.stage(RunKind.SEARCH_LOCAL, "search-local", task.settings(), folder) as stage:
        describe_data(stage.folder, dataset, partitions, resume=stage.resume)
        result = stage.result or _search(stage, task, dataset, partitions)
        return LocalSearchOutcome(
            structure=DilationStructure(result["structure"]),
            model=stage.folder / MODEL,
            steps=result["steps"],
            run_id=stage.run_id,
        )


def _search(
    stage: RunContext, task: LocalSearchTask, dataset: SegmentationDataset, partitions: Partitions
) -> dict[str, Any]:
    model, trained, history = _fit(stage, task, dataset, partitions)
    # From the history, since a dense kernel does not show the rate that it was made of.
    structure = DilationStructure.from_rates(list(history[-1].rates.values()), task.structure.shape)
    write_structure(
        stage.folder / STRUCTURE,
        structure,
        backbone=task.backbone.name,
        causal=task.backbone.causal,
        provenance={
            "search": "local",
            **dataset.provenance,
            "seed": task.seed,
            "start": task.structure.as_lists(),
        },
    )
    metadata = model_metadata(
        dataset,
        backbone=task.backbone,
        structure=structure,
        selection=Selection.LAST,
        seed=task.seed,
        metrics={},
        run_id=stage.run_id,
        layers=None if task.search.ending is Ending.SINGLE else describe(model),
    )
    save_model(stage.folder / MODEL, model, metadata)
    write_table(stage.folder, "updates", _columns(history))
    stage.draw("rates", rate_paths(history, task.structure.shape))
    result = {"structure": structure.as_lists(), "steps": trained.steps}
    write_result(stage.folder, result, (STRUCTURE, MODEL, CHECKPOINT), step=trained.epochs)
    return result


def _columns(history: Sequence[LocalSearchUpdate]) -> dict[str, list[object]]:
    """Return the table of all updates: a row for each layer of each."""
    rows: list[dict[str, object]] = [
        {
            "update": update.number,
            "step": update.step,
            "layer": name,
            "rate_before": layer.rate_before,
            "branches": " ".join(map(str, layer.branches)),
            "weights": " ".join(f"{weight:.4f}" for weight in layer.weights),
            "expectation": layer.expectation,
            "rate_after": layer.rate_after,
        }
        for update in history
        for name, layer in update.layers.items()
    ]
    return {column: [row[column] for row in rows] for column in rows[0]}


def _limit(task: LocalSearchTask, largest: int) -> Limit | None:
    """Return what lowers an update of rates up to `largest` a frame at a time, the largest rate first.

    None where there is no limit.
    """
    limits = (task.search.max_receptive_field, task.search.max_look_ahead)
    if limits == (None, None):
        return None
    rates = tuple(range(1, largest + 1))
    space = SearchSpace(task.backbone.topology, task.structure.shape, rates, *limits)
    return lambda rates: [(rate,) for rate in space.from_rates([rate for (rate,) in rates]).rates]


def _fit(
    stage: RunContext,
    task: LocalSearchTask,
    dataset: SegmentationDataset,
    partitions: Partitions,
) -> tuple[nn.Module, TrainingResult, list[LocalSearchUpdate]]:
    device, seed = resolve_device(stage.device), SeedPlan(task.seed).local
    seed_everything(seed)
    model = build_backbone(
        task.backbone, task.structure, feature_dim=dataset.feature_dim, num_classes=len(dataset.mapping.names)
    )
    longest, config = dataset.longest(partitions.train), task.search
    groups = give_branches(model, config, longest_video=longest, learning_rate=task.recipe.learning_rate)
    model.to(device)
    optimizer = torch.optim.Adam(groups, fused=True)
    schedule = SearchSchedule(
        model,
        optimizer,
        interval=config.interval.amount,
        updates=config.updates,
        ending=config.ending,
        evidence=config.rule is LocalRule.EVIDENCE,
        warm_up=config.warm_up,
        limit=_limit(task, config.max_rate or longest),
    )
    log = LineLog(stage.folder / UPDATES, LocalSearchUpdate)
    search = LocalSearch(schedule, config.interval.unit, log.append)
    shortest = Budget(config.warm_up + config.interval.amount * config.updates, config.interval.unit)
    source = BatchSource(dataset, partitions.train, batch_size=task.recipe.batch_size, seed=seed)

    trained = fit(
        model,
        source,
        replace(task.recipe, selection=Selection.LAST, compile=False),  # rates change too often for it
        seed=seed,
        device=device,
        budget=max(  # the longer one
            Budget(task.recipe.epochs),
            shortest,
            key=lambda one: one.amount * (len(source) if one.unit == "epochs" else 1),
        ),
        optimizer=optimizer,
        callbacks=[search],
        checkpoint=stage.folder / CHECKPOINT,
        resume=stage.resume,
        progress=stage.progress,
        on_epoch=epoch_log(stage.folder).append,
    )
    return model, trained, search.history
