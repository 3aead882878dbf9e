"""The whole pipeline: global search, local search, training against the baseline, export, prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from g2l.config import GlobalSearchConfig, LocalSearchConfig, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.files import describe_file, write_json
from g2l.inference.sessions import open_session
from g2l.metrics.comparison import Comparison
from g2l.metrics.summary import Summary, mean_over_folds
from g2l.models.artifact import load_model
from g2l.pipeline.candidates import GlobalSearchTask, steps_per_epoch
from g2l.pipeline.contest import (
    HAND_DESIGNED,
    Contestant,
    ContestOutcome,
    difference_metrics,
    differences,
    hold_contest,
)
from g2l.pipeline.context import RunContext, StageTask
from g2l.pipeline.export import MODEL, export_model
from g2l.pipeline.fitting import Training
from g2l.pipeline.folds import common_data, in_each_fold, open_folds
from g2l.pipeline.output import link_or_copy
from g2l.pipeline.predict import predict, require_success
from g2l.pipeline.search_global import STRUCTURE, PreparedSearch, prepare_search, search_globally
from g2l.pipeline.search_local import LocalSearchOutcome, LocalSearchTask, search_locally
from g2l.pipeline.search_outcome import GlobalSearchOutcome
from g2l.pipeline.select import SelectionOutcome, select
from g2l.pipeline.train import TrainingOutcome, train
from g2l.progress import Progress
from g2l.receptive_field import Ending
from g2l.records import RunKind, read_result, write_result
from g2l.report.render import write_report
from g2l.search.budget import CostPlan, SearchCost
from g2l.search.space import check_limits
from g2l.shipping import ContestConfig
from g2l.structure import DilationStructure
from g2l.structure_files import write_structure

SUMMARY = "summary.json"
REPORT = "report.html"
EXPORT, PREDICTIONS = "export", "predictions"
"""Folders of the last two stages."""


@dataclass(frozen=True, kw_only=True)
class PipelineTask(StageTask):
    """A pipeline task; `seed` is that of the run (`g2l.seeds`).

    So many `seeds` are the trainings of each structure on hold-outs, and as many on all of train.
    """

    global_search: GlobalSearchConfig
    local_search: LocalSearchConfig
    contest: ContestConfig = field(default_factory=ContestConfig)
    seeds: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class PipelineOutcome:
    """Result of a pipeline.

    Attributes:
        contestants: `hand-designed` and `searched`, by the same recipe and seeds.
        differences: Searched minus hand-designed on test, by metric, paired by seed.
        trainings: Of both, one for each seed.
        contest: Which of them is shipped, and why.
        model: The exported network of that structure.
        predictions: Folder of its predictions on the test partition.
        costs: Optimiser steps of each part, in full trainings of the hand-designed structure.
        report: What was found, as one page.
        run_id: Identifier of the run.
    """

    contestants: Mapping[str, Contestant]
    differences: Mapping[str, Comparison]
    trainings: Mapping[str, TrainingOutcome] = field(repr=False)
    contest: ContestOutcome
    model: Path
    predictions: Path
    costs: Mapping[str, float]
    report: Path
    run_id: str


@dataclass(frozen=True, kw_only=True)
class FoldsOutcome:
    """Result of a pipeline in one or several folds.

    `differences` are searched minus hand-designed on test, by metric, paired by fold, seed and video;
    `report` is the page on all folds.
    """

    folds: Mapping[int, PipelineOutcome]
    differences: Mapping[str, Comparison]
    report: Path


Searches: TypeAlias = tuple[GlobalSearchOutcome, LocalSearchOutcome]
"""Results of the global search, and of the local one that goes on from it."""


def run_pipeline(
    context: RunContext, task: PipelineTask, folder: str = "", *, searched: Searches | None = None
) -> PipelineOutcome:
    """Search, train, export and predict; each finished stage is skipped on resume.

    `searched` is what was found on no test video of this fold; None to search here.

    Raises:
        InputError: Data or settings are wrong.
        OperationalError: A stage failed.
    """
    # Wrong inputs are reported before anything is written.
    search = prepare(context, task)
    task = replace(task, data=search.dataset.config)  # with the facts of the data set
    name = f"pipeline {task.data.dataset} split {task.data.split}"
    settings = task.settings() | ({} if searched is None else {"searched": "once for several folds"})
    with context.stage(RunKind.PIPELINE, name, settings, folder) as stage:
        stages = Stages(stage.progress, fold=folder)
        found, refined = searched or search_structures(stage, task, search, stages)
        structures = {
            HAND_DESIGNED: task.backbone.hand_designed(),
            "global": found.structure,
            "local": refined.structure,
        }
        shown = any(row.structure == found.structure and row.shown and row.cost < 1 for row in found.shapes)
        # The hold-out curves of the search limit how long these structures are trained.
        epochs = max([task.recipe.epochs, *(row.epochs for row in found.shapes)])
        task = replace(task, recipe=task.recipe.replace(epochs=epochs))
        stages.begin(HOLD_OUTS)
        contest = _contest(stage, task, structures, frozenset({"global"} if shown else ()))
        if stage.result is None:
            write_structure(
                stage.folder / STRUCTURE,
                structures[contest.shipped],
                backbone=task.backbone.name,
                causal=task.backbone.causal,
                provenance={"search": contest.shipped, "seed": task.seed, **search.dataset.provenance},
            )
        stages.begin(FINAL)
        baseline = ours = _train(stage, task, HAND_DESIGNED, contest)
        if structures[contest.searched] != baseline.structure or _branching(task, contest.searched):
            ours = _train(stage, task, contest.searched, contest)
        shipped = baseline if contest.shipped == HAND_DESIGNED else ours
        stages.begin(EXPORTED)
        model = _export(stage, task, shipped)
        predictions = _predict(stage, search.dataset, model)
        finding = {"search": found.steps, LOCAL_SEARCH: refined.steps, HOLD_OUTS: contest.steps}
        trained = (baseline,) if ours is baseline else (baseline, ours)
        costs = finding | {FINAL: sum(seed.steps for one in trained for seed in one.seeds)}
        outcome = PipelineOutcome(
            contestants={
                HAND_DESIGNED: _contestant(baseline, 0.0),
                "searched": _contestant(ours, sum(finding.values()) / search.full_steps),
            },
            differences=differences({task.data.split: (ours, baseline)}, task.data.group_pattern),
            trainings={HAND_DESIGNED: baseline, "searched": ours},
            contest=contest,
            model=model,
            predictions=predictions,
            costs={name: steps / search.full_steps for name, steps in costs.items()},
            report=stage.folder / REPORT,
            run_id=stage.run_id,
        )
        if stage.result is None:
            _write_result(stage.folder, task, outcome)
        _write_report(stage, outcome.report)
    return outcome


def prepare(context: RunContext, task: PipelineTask) -> PreparedSearch:
    """Return the global search of a pipeline, validated with all other settings.

    Raises:
        InputError: Data or settings are wrong.
    """
    for config in (task.global_search, task.local_search):
        check_limits(config, task.backbone, task.backbone.hand_designed().shape)
    search = task.global_search.replace(final_seeds=0)  # the pipeline compares at its own end
    return prepare_search(
        context.data,
        GlobalSearchTask(
            data=task.data, backbone=task.backbone, recipe=task.recipe, search=search, seed=task.seed
        ),
    )


def run_folds(
    context: RunContext,
    task: PipelineTask,
    folds: tuple[int, ...],
    *,
    search_per_fold: bool = False,
    workers: int = 1,
) -> FoldsOutcome:
    """Run the pipeline in some folds, of which so many at once; a single one is the run itself.

    Without `search_per_fold` there is one search for all folds.

    Raises:
        InputError: Data or settings are wrong, or no videos are left for one search.
        OperationalError: A stage failed.
    """
    if len(folds) == 1:
        only = run_pipeline(context, replace(task, data=task.data.replace(split=folds[0])))
        return FoldsOutcome(folds={folds[0]: only}, differences=only.differences, report=only.report)
    shared = replace(task, data=common_data(task.data, folds))
    # Wrong inputs are reported before anything is written.
    search = None if search_per_fold else prepare(context, shared)
    with open_folds(
        context, "pipeline", task.data, folds, task.settings(), common=search is not None
    ) as stage:
        searched = None
        if search is not None:
            stages = Stages(stage.progress, folds=len(folds))
            searched = search_structures(stage, shared, search, stages)
        work = partial(run_pipeline, searched=searched)
        found = in_each_fold(stage, task, folds, work, workers=workers)
        pairs = {
            fold: (one.trainings["searched"], one.trainings[HAND_DESIGNED]) for fold, one in found.items()
        }
        outcome = FoldsOutcome(
            folds=found,
            differences=differences(pairs, task.data.group_pattern),
            report=stage.folder / REPORT,
        )
        if stage.result is None:
            _write_folds(stage.folder, outcome)
        _write_report(stage, outcome.report)
    return outcome


def search_structures(
    stage: RunContext, task: PipelineTask, search: PreparedSearch, stages: Stages
) -> Searches:
    """Search globally, then locally."""

    def on_plan(plan: CostPlan) -> None:
        plan = stages.plan(plan, task, search)
        if stage.on_plan is not None:
            stage.on_plan(plan)

    found = search_globally(replace(stage, on_plan=on_plan), search, "search-global")
    stages.begin(LOCAL_SEARCH)
    local = LocalSearchTask(
        data=task.data,
        backbone=task.backbone,
        recipe=task.recipe,
        search=task.local_search.replace(ending=Ending.SINGLE),  # what was found is trained anew
        structure=found.structure,
        seed=task.seed,
    )
    return found, search_locally(stage, local, "search-local")


SEARCH, LOCAL_SEARCH, HOLD_OUTS, FINAL, EXPORTED = STAGES = (
    "global search",
    "local search",
    "hold-outs",
    "final trainings",
    "export and predictions",
)


class Stages:
    """Shows which stage of a pipeline for so many folds is running, and how long all may still take.

    `fold` is the folder of the fold, empty without one.
    """

    def __init__(self, progress: Progress, *, fold: str = "", folds: int = 1) -> None:
        self._progress = progress
        self._prefix = f"{fold}, " if fold else ""
        self._folds = folds
        self._seconds: Mapping[str, float] | None = None

    def plan(self, plan: CostPlan, task: PipelineTask, search: PreparedSearch) -> CostPlan:
        """Return the cost of all stages, given that of the global search, and begin that one."""
        # Two structures are usual: hand-designed and what the local search made of the winner.
        expected, maximal = (
            cost.followed_by(
                _following(task, search, cost, count, self._folds), workers=search.config.workers
            )
            for cost, count in ((plan.expected, 2), (plan.maximal, 3))
        )
        if expected.seconds is not None:
            each = (expected.seconds - (plan.expected.seconds or 0)) / (
                expected.total_steps - plan.expected.total_steps
            )
            later = {name: each * expected.steps[name] for name in (LOCAL_SEARCH, HOLD_OUTS, FINAL)}
            self._seconds = {SEARCH: plan.expected.seconds or 0, **later}
        self.begin(SEARCH)
        return replace(plan, expected=expected, maximal=maximal)

    def begin(self, name: str) -> None:
        """Show a stage."""
        number = STAGES.index(name)
        left = None if self._seconds is None else sum(self._seconds.get(one, 0.0) for one in STAGES[number:])
        self._progress.stage(f"{self._prefix}stage {number + 1} of {len(STAGES)}: {name}", left)


def _following(
    task: PipelineTask, search: PreparedSearch, cost: SearchCost, structures: int, folds: int
) -> dict[str, int]:
    """Return the optimiser steps of what follows the global search."""
    full, seeds = cost.full_steps, task.seeds
    interval, longer = task.local_search.interval, full / search.full_steps
    updates = interval.amount * task.local_search.updates + task.local_search.warm_up
    if interval.unit == "epochs":
        updates *= round(search.full_steps / task.recipe.epochs)
    held_out = task.recipe.epochs * steps_per_epoch(search.task, search.dataset)
    return {
        LOCAL_SEARCH: max(full, updates),
        HOLD_OUTS: round(folds * seeds * structures * longer * held_out),
        FINAL: folds * seeds * min(2, structures) * full,
    }


def _branching(task: PipelineTask, name: str) -> LocalSearchConfig | None:
    """Return the branches of a candidate's layers, None where they have one rate each."""
    return task.local_search if name == "local" and task.local_search.ending is not Ending.SINGLE else None


def _training(task: PipelineTask, name: str, structure: DilationStructure) -> Training:
    return Training(
        data=task.data,
        backbone=task.backbone,
        recipe=task.recipe,
        structure=structure,
        origin=name,
        branching=_branching(task, name),
    )


def _contest(
    stage: RunContext, task: PipelineTask, structures: Mapping[str, DilationStructure], shown: frozenset[str]
) -> ContestOutcome:
    """Train the candidates on hold-outs and choose; one with the structure of a simpler one is that one."""
    known: dict[str, SelectionOutcome] = {}

    def simplest(name: str) -> str:
        same = (other for other in structures if structures[other] == structures[name])
        return name if _branching(task, name) else next(same)

    def selected(name: str, count: int) -> SelectionOutcome:
        origin = simplest(name)
        if origin not in known or len(known[origin].trainings) != count:
            context = replace(stage, resume=True) if origin in known else stage  # goes on with its own stage
            training = _training(task, origin, structures[name])
            folder = f"select-{origin}"
            known[origin] = select(context, training, seed=task.seed, count=count, folder=folder)
        return known[origin]

    return hold_contest(
        selected,
        tuple(structures),
        task.contest,
        trainings=task.seeds,
        metric=task.recipe.monitor,
        group_pattern=task.data.group_pattern,
        shown=shown,
    )


def _train(stage: RunContext, task: PipelineTask, name: str, contest: ContestOutcome) -> TrainingOutcome:
    selected = contest.selections[name]
    origin = HAND_DESIGNED if name == HAND_DESIGNED else "searched"
    training = replace(_training(task, name, selected.structure), origin=origin)
    return train(stage, training, task.seed, task.seeds, folder=f"train-{origin}", selected=selected)


def _export(stage: RunContext, task: PipelineTask, shipped: TrainingOutcome) -> Path:
    """Export the first seed, or without refit the one that is best on the hold-out; unless that was done."""
    output, kept = stage.folder / MODEL, stage.folder / EXPORT / MODEL
    if read_result(stage.folder / EXPORT) is None:
        model, metadata = load_model(shipped.chosen(task.recipe.monitor).model, backbone=task.backbone.name)
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
            predict(
                stage,
                session,
                videos,
                ground_truth=root / "groundTruth",
                length_tolerance=dataset.config.length_tolerance,
                folder=PREDICTIONS,
            )
        )
    return output


def _contestant(outcome: TrainingOutcome, cost: float) -> Contestant:
    return Contestant(
        structure=outcome.structure, test=outcome.test(), training_equivalents=cost, epochs=outcome.epochs
    )


def _write_result(folder: Path, task: PipelineTask, outcome: PipelineOutcome) -> None:
    topology, contest = task.backbone.topology, outcome.contest
    summary = {name: one.as_dict(topology) for name, one in outcome.contestants.items()} | {
        "costs": dict(outcome.costs),
        "contest": contest.as_dict(),
        "difference": {metric: found.as_dict() for metric, found in outcome.differences.items()},
    }
    write_json(folder / SUMMARY, summary)
    means = _means({name: one.test for name, one in outcome.contestants.items()})
    tags = {"g2l.shipped": contest.shipped, "g2l.reason_of_shipped": contest.reason}
    metrics = means | difference_metrics(outcome.differences)
    write_result(folder, summary, (STRUCTURE, SUMMARY), metrics=metrics, tags=tags)


def _write_folds(folder: Path, outcome: FoldsOutcome) -> None:
    tests = {
        fold: {name: contestant.test for name, contestant in one.contestants.items()}
        for fold, one in outcome.folds.items()
    }
    means = {
        name: mean_over_folds([test[name] for test in tests.values()]) for name in (HAND_DESIGNED, "searched")
    }
    summary = {
        "folds": {
            str(fold): {
                "shipped": one.contest.shipped,
                "model": str(one.model.relative_to(folder)),
                "test": {
                    name: {metric: vars(score) for metric, score in of.items()}
                    for name, of in tests[fold].items()
                },
            }
            for fold, one in outcome.folds.items()
        },
        "mean": {name: {metric: score.mean for metric, score in of.items()} for name, of in means.items()},
        "difference": {metric: found.as_dict() for metric, found in outcome.differences.items()},
    }
    write_json(folder / SUMMARY, summary)
    metrics = _means(means) | difference_metrics(outcome.differences)
    write_result(folder, summary, (SUMMARY,), metrics=metrics)


def _means(scores: Mapping[str, Mapping[str, Summary]]) -> dict[str, float]:
    return {f"{name}/{metric}": score.mean for name, of in scores.items() for metric, score in of.items()}


def _write_report(stage: RunContext, report: Path) -> None:
    if stage.result is None or not report.exists():
        write_report({str(stage.folder): stage.folder}, report)
