"""The whole pipeline: global search, local search, training against the baseline, export, prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

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
from g2l.pipeline.candidates import GlobalSearchTask, steps_on_holdouts
from g2l.pipeline.contest import (
    HAND_DESIGNED,
    Contestant,
    ContestOutcome,
    difference_metrics,
    differences,
    hold_contest,
)
from g2l.pipeline.context import RunContext
from g2l.pipeline.export import MODEL, export_model
from g2l.pipeline.fitting import Training
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
from g2l.search.candidates import SearchObserver
from g2l.search.space import check_limits
from g2l.shipping import ContestConfig
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
        contest: Which structure is exported.
        seeds: Trainings of each structure on hold-outs, and as many on all of train.
        seed: Of the run; see `g2l.seeds`.
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    global_search: GlobalSearchConfig
    local_search: LocalSearchConfig
    contest: ContestConfig = field(default_factory=ContestConfig)
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
            "contest": self.contest.as_dict(),
            "seeds": self.seeds,
            "seed": self.seed,
        }


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


Searches: TypeAlias = tuple[GlobalSearchOutcome, LocalSearchOutcome]
"""Results of the global search, and of the local one that goes on from it."""


def run_pipeline(
    context: RunContext,
    task: PipelineTask,
    *,
    on_plan: Callable[[CostPlan], None],
    observers: Sequence[SearchObserver] = (),
    folder: str = "",
    searched: Searches | None = None,
) -> PipelineOutcome:
    """Search, train, export and predict; each finished stage is skipped on resume.

    Args:
        context: Where it runs.
        task: What is done.
        on_plan: Called with the cost of all stages before the first one starts.
        observers: Called with every evaluation and generation of the global search.
        folder: Of the stage, below that of the context.
        searched: What was found on no test video of this fold; None to search here.

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
        found, refined = searched or search_structures(stage, task, search, stages, on_plan, observers)
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
            _write_structure(stage.folder, task, structures[contest.shipped], contest, search.dataset)
        stages.begin(FINAL)
        baseline = ours = _train(stage, task, HAND_DESIGNED, contest)
        if structures[contest.searched] != baseline.structure or _branching(task, contest.searched):
            ours = _train(stage, task, contest.searched, contest)
        shipped = baseline if contest.shipped == HAND_DESIGNED else ours
        stages.begin(EXPORTED)
        model = _export(stage, task, shipped)
        predictions = _predict(stage, search.dataset, model)
        outcome = PipelineOutcome(
            contestants={
                HAND_DESIGNED: _contestant(baseline, 0),
                "searched": _contestant(ours, found.steps + refined.steps + contest.steps, search.full_steps),
            },
            differences=differences({task.data.split: (ours, baseline)}, task.data.group_pattern),
            trainings={HAND_DESIGNED: baseline, "searched": ours},
            contest=contest,
            model=model,
            predictions=predictions,
            costs=_costs(search, found, refined, contest, baseline, ours),
            report=stage.folder / REPORT,
            run_id=stage.run_id,
        )
        if stage.result is None:
            _write_result(stage.folder, task, outcome)
        if stage.result is None or not outcome.report.exists():
            write_report({str(stage.folder): stage.folder}, outcome.report)
    return outcome


def prepare(context: RunContext, task: PipelineTask) -> PreparedSearch:
    """Return the global search of a pipeline, validated with all other settings.

    Raises:
        InputError: Data or settings are wrong.
    """
    for config in (task.global_search, task.local_search):
        check_limits(config, task.backbone, task.backbone.hand_designed().shape)
    return prepare_search(context.data, _global_task(task))


def search_structures(
    stage: RunContext,
    task: PipelineTask,
    search: PreparedSearch,
    stages: Stages,
    on_plan: Callable[[CostPlan], None],
    observers: Sequence[SearchObserver],
) -> Searches:
    """Search globally, then locally; the arguments are those of `run_pipeline`."""

    def on_search(plan: CostPlan) -> None:
        on_plan(stages.plan(plan, task, search))

    found = search_globally(stage, search, on_plan=on_search, observers=observers, folder="search-global")
    stages.begin(LOCAL_SEARCH)
    return found, search_locally(stage, _local_task(task, found.structure), folder="search-local")


SEARCH, LOCAL_SEARCH, HOLD_OUTS, FINAL, EXPORTED = STAGES = (
    "global search",
    "local search",
    "hold-outs",
    "final trainings",
    "export and predictions",
)


class Stages:
    """Shows which stage of the pipeline is running, and how long all may still take.

    Args:
        progress: Where it is shown.
        fold: Folder of the fold, empty without one.
        folds: Number of folds that the search is done for.
    """

    def __init__(self, progress: Progress, *, fold: str = "", folds: int = 1) -> None:
        self._progress = progress
        self._prefix = f"{fold}, " if fold else ""
        self._folds = folds
        self._seconds: Mapping[str, float] | None = None

    def plan(self, plan: CostPlan, task: PipelineTask, search: PreparedSearch) -> CostPlan:
        """Return the cost of all stages, given that of the global search, and begin that one."""
        # Two structures are usual: hand-designed and what the local search made of the winner.
        workers = search.config.workers
        expected = plan.expected.followed_by(
            _following(task, search, plan.expected, 2, self._folds), workers=workers
        )
        maximal = plan.maximal.followed_by(
            _following(task, search, plan.maximal, 3, self._folds), workers=workers
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
    held_out = steps_on_holdouts(search.task, search.dataset)
    return {
        LOCAL_SEARCH: max(full, updates),
        HOLD_OUTS: round(folds * seeds * structures * longer * held_out),
        FINAL: folds * seeds * min(2, structures) * full,
    }


def _costs(
    search: PreparedSearch,
    found: GlobalSearchOutcome,
    refined: LocalSearchOutcome,
    contest: ContestOutcome,
    baseline: TrainingOutcome,
    searched: TrainingOutcome,
) -> dict[str, float]:
    distinct = {id(outcome): outcome for outcome in (baseline, searched)}.values()
    steps = {
        "search": found.steps,
        LOCAL_SEARCH: refined.steps,
        HOLD_OUTS: contest.steps,
        FINAL: sum(seed.steps for outcome in distinct for seed in outcome.seeds),
    }
    return {name: count / search.full_steps for name, count in steps.items()}


def _write_structure(
    folder: Path,
    task: PipelineTask,
    structure: DilationStructure,
    contest: ContestOutcome,
    dataset: SegmentationDataset,
) -> None:
    write_structure(
        folder / STRUCTURE,
        structure,
        backbone=task.backbone.name,
        causal=task.backbone.causal,
        provenance={"search": contest.shipped, "seed": task.seed, **dataset.provenance},
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


def _contestant(outcome: TrainingOutcome, steps: int, full_steps: int = 1) -> Contestant:
    return Contestant(
        structure=outcome.structure,
        test=outcome.test(),
        training_equivalents=steps / full_steps,
        epochs=outcome.epochs,
    )


def _write_result(folder: Path, task: PipelineTask, outcome: PipelineOutcome) -> None:
    topology = task.backbone.topology
    summary: dict[str, Any] = {
        name: contestant.as_dict(topology) for name, contestant in outcome.contestants.items()
    }
    summary["costs"] = dict(outcome.costs)
    summary["contest"] = outcome.contest.as_dict()
    summary["difference"] = {metric: found.as_dict() for metric, found in outcome.differences.items()}
    write_json(folder / SUMMARY, summary)
    metrics = {
        f"{name}/{metric}": score.mean
        for name, contestant in outcome.contestants.items()
        for metric, score in contestant.test.items()
    }
    metrics |= difference_metrics(outcome.differences)
    tags = {"g2l.shipped": outcome.contest.shipped, "g2l.reason_of_shipped": outcome.contest.reason}
    write_result(folder, summary, (STRUCTURE, SUMMARY), metrics=metrics, tags=tags)
