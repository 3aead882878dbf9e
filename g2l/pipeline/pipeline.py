"""The whole pipeline: global search, local search, training against the baseline, export, prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from g2l.config import (
    BackboneConfig,
    DataConfig,
    GlobalSearchConfig,
    LocalSearchConfig,
    RecipeConfig,
    Selection,
)
from g2l.datasets.dataset import SegmentationDataset
from g2l.files import describe_file, write_json
from g2l.inference.sessions import open_session
from g2l.metrics.comparison import Comparison
from g2l.models.artifact import load_model
from g2l.pipeline.candidates import GlobalSearchTask
from g2l.pipeline.contest import Contestant, difference_metrics, differences
from g2l.pipeline.context import RunContext
from g2l.pipeline.export import MODEL, export_model
from g2l.pipeline.output import link_or_copy
from g2l.pipeline.predict import predict, require_success
from g2l.pipeline.search_global import STRUCTURE, prepare_search, search_globally
from g2l.pipeline.search_local import LocalSearchOutcome, LocalSearchTask, search_locally
from g2l.pipeline.search_outcome import GlobalSearchOutcome
from g2l.pipeline.train import Training, TrainingOutcome, train
from g2l.receptive_field import Ending
from g2l.records import RunKind, read_result, write_result
from g2l.report.render import write_report
from g2l.search.budget import CostPlan
from g2l.search.events import SearchObserver
from g2l.search.space import check_limits
from g2l.structure import DilationStructure
from g2l.structure_files import write_structure

SUMMARY = "summary.json"
REPORT = "report.html"
EXPORT, PREDICTIONS = "export", "predictions"
"""Folders of the last two stages."""


@dataclass(frozen=True, kw_only=True)
class PipelineTask:
    """A pipeline task.

    Attributes:
        data: Data set, split and how it is read.
        backbone: Size of the network.
        recipe: How networks are trained, the baseline and the searched one alike.
        global_search: Settings of the global search.
        local_search: Settings of the local search.
        seeds: Trainings of each structure.
        seed: First seed; also that of both searches.
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    global_search: GlobalSearchConfig
    local_search: LocalSearchConfig
    seeds: int
    seed: int

    def settings(self) -> dict[str, Any]:
        """Return the resolved configuration as JSON values."""
        return {
            "data": self.data.as_dict(),
            "backbone": self.backbone.as_dict(),
            "recipe": self.recipe.as_dict(),
            "global_search": self.global_search.as_dict(),
            "local_search": self.local_search.as_dict(),
            "seeds": self.seeds,
            "seed": self.seed,
        }


@dataclass(frozen=True, kw_only=True)
class PipelineOutcome:
    """Result of a pipeline.

    Attributes:
        contestants: `hand-designed` and `searched`, by the same recipe and seeds.
        differences: Searched minus hand-designed on test, by metric, paired by seed.
        model: The exported network of the searched structure.
        predictions: Folder of its predictions on the test partition.
        report: What was found, as one page.
        run_id: Identifier of the run.
    """

    contestants: Mapping[str, Contestant]
    differences: Mapping[str, Comparison]
    model: Path
    predictions: Path
    report: Path
    run_id: str


def run_pipeline(
    context: RunContext,
    task: PipelineTask,
    *,
    on_plan: Callable[[CostPlan], None],
    observers: Sequence[SearchObserver] = (),
) -> PipelineOutcome:
    """Search, train, export and predict; each finished stage is skipped on resume.

    Args:
        context: Where it runs.
        task: What is done.
        on_plan: Called with the cost of the global search before it starts.
        observers: Called with every evaluation and generation of the global search.

    Raises:
        InputError: Data or settings are wrong.
        OperationalError: A stage failed.
    """
    # Wrong inputs are reported before anything is written.
    for config in (task.global_search, task.local_search):
        check_limits(config, task.backbone, task.backbone.hand_designed().shape)
    search = prepare_search(context.data, _global_task(task))
    task = replace(task, data=search.dataset.config)  # with the facts of the data set
    name = f"pipeline {task.data.dataset} split {task.data.split}"
    with context.stage(RunKind.PIPELINE, name, task.settings()) as stage:
        found = search_globally(stage, search, on_plan=on_plan, observers=observers, folder="search-global")
        refined = search_locally(stage, _local_task(task, found.structure), folder="search-local")
        if stage.result is None:
            _write_structure(stage.folder, task, refined.structure, search.dataset)
        baseline = _train(stage, task, task.backbone.hand_designed(), "hand-designed")
        searched = _train(stage, task, refined.structure, "searched")
        model = _export(stage, task, searched)
        predictions = _predict(stage, search.dataset, model)
        outcome = PipelineOutcome(
            contestants=_contestants(found, refined, baseline, searched),
            differences=differences(searched, baseline, task.data.group_pattern),
            model=model,
            predictions=predictions,
            report=stage.folder / REPORT,
            run_id=stage.run_id,
        )
        if stage.result is None:
            _write_result(stage.folder, task, outcome)
        if stage.result is None or not outcome.report.exists():
            write_report({str(stage.folder): stage.folder}, outcome.report)
    return outcome


def _write_structure(
    folder: Path, task: PipelineTask, structure: DilationStructure, dataset: SegmentationDataset
) -> None:
    write_structure(
        folder / STRUCTURE,
        structure,
        backbone=task.backbone.name,
        causal=task.backbone.causal,
        provenance={"search": "global, local", "seed": task.seed, "data": dataset.fingerprint},
    )


def _global_task(task: PipelineTask) -> GlobalSearchTask:
    return GlobalSearchTask(
        data=task.data,
        backbone=task.backbone,
        recipe=task.recipe,
        search=task.global_search.replace(final_seeds=0),  # the pipeline compares at its own end
        seed=task.seed,
    )


def _local_task(task: PipelineTask, start: DilationStructure) -> LocalSearchTask:
    return LocalSearchTask(
        data=task.data,
        backbone=task.backbone,
        recipe=task.recipe,
        search=task.local_search.replace(ending=Ending.SINGLE),  # what was found is trained anew
        structure=start,
        seed=task.seed,
    )


def _train(
    stage: RunContext, task: PipelineTask, structure: DilationStructure, origin: str
) -> TrainingOutcome:
    ends_branched = origin == "searched" and task.local_search.ending is not Ending.SINGLE
    training = Training(
        data=task.data,
        backbone=task.backbone,
        recipe=task.recipe,
        structure=structure,
        origin=origin,
        branching=task.local_search if ends_branched else None,
    )
    seeds = range(task.seed, task.seed + task.seeds)
    return train(stage, training, seeds, folder=f"train-{origin}")


def _export(stage: RunContext, task: PipelineTask, searched: TrainingOutcome) -> Path:
    """Export the seed that is best on the hold-out, unless that was done before."""
    output, kept = stage.folder / MODEL, stage.folder / EXPORT / MODEL
    if read_result(stage.folder / EXPORT) is None:
        model, metadata = load_model(searched.chosen(task.recipe.monitor).model, backbone=task.backbone.name)
        export_model(stage, model, metadata, output, folder=EXPORT)
    elif not output.is_file() or describe_file(output) != describe_file(kept):
        link_or_copy(kept, output)
    return output


def _predict(stage: RunContext, dataset: SegmentationDataset, model: Path) -> Path:
    """Predict the test partition with the exported file alone, unless that was done before."""
    output = stage.folder / PREDICTIONS
    done = read_result(output)
    if done is None or done["failures"]:
        root = dataset.config.data_root / dataset.config.dataset
        videos = [root / "features" / f"{name}.npy" for name in dataset.partitions(Selection.LAST).test]
        session = open_session(model, stage.device)
        require_success(
            predict(stage, session, videos, ground_truth=root / "groundTruth", folder=PREDICTIONS)
        )
    return output


def _contestants(
    found: GlobalSearchOutcome,
    refined: LocalSearchOutcome,
    baseline: TrainingOutcome,
    searched: TrainingOutcome,
) -> dict[str, Contestant]:
    full = baseline.seeds[0].steps
    return {
        "hand-designed": Contestant(
            structure=baseline.structure, test=baseline.test(), training_equivalents=0.0
        ),
        "searched": Contestant(
            structure=searched.structure,
            test=searched.test(),
            training_equivalents=(found.steps + refined.steps) / full,
        ),
    }


def _write_result(folder: Path, task: PipelineTask, outcome: PipelineOutcome) -> None:
    topology = task.backbone.topology
    summary: dict[str, Any] = {
        name: contestant.as_dict(topology) for name, contestant in outcome.contestants.items()
    }
    summary["difference"] = {metric: found.as_dict() for metric, found in outcome.differences.items()}
    write_json(folder / SUMMARY, summary)
    metrics = {
        f"{name}/{metric}": score.mean
        for name, contestant in outcome.contestants.items()
        for metric, score in contestant.test.items()
    }
    metrics |= difference_metrics(outcome.differences)
    write_result(folder, summary, (STRUCTURE, SUMMARY), metrics=metrics)
