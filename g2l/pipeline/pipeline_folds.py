"""The pipeline in several folds: one search for all or one in each, then every fold by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from g2l.config import DataConfig
from g2l.files import write_json
from g2l.metrics.comparison import Comparison
from g2l.metrics.summary import Summary, mean_over_folds
from g2l.pipeline.contest import HAND_DESIGNED, difference_metrics, differences
from g2l.pipeline.context import RunContext
from g2l.pipeline.folds import Ahead, common_data, in_each_fold, open_folds
from g2l.pipeline.pipeline import (
    REPORT,
    SUMMARY,
    PipelineOutcome,
    PipelineTask,
    Searches,
    Stages,
    prepare,
    run_pipeline,
    search_structures,
)
from g2l.records import write_result
from g2l.report.render import write_report
from g2l.search.budget import CostPlan
from g2l.search.candidates import SearchObserver


@dataclass(frozen=True, kw_only=True)
class FoldsOutcome:
    """Result of a pipeline in one or several folds.

    Attributes:
        folds: Result of each fold.
        differences: Searched minus hand-designed on test, by metric, paired by fold, seed and video.
        report: What was found in all of them, as one page.
    """

    folds: Mapping[int, PipelineOutcome]
    differences: Mapping[str, Comparison]
    report: Path

    def mean(self, name: str) -> dict[str, Summary]:
        """Return the mean over folds of the test metrics of a contestant."""
        return mean_over_folds([one.contestants[name].test for one in self.folds.values()])


def run_folds(
    context: RunContext,
    task: PipelineTask,
    folds: tuple[int, ...],
    *,
    search_per_fold: bool = False,
    workers: int = 1,
    on_plan: Callable[[CostPlan], None],
    observers: Sequence[SearchObserver] = (),
) -> FoldsOutcome:
    """Run the pipeline in some folds; a single one is the run itself.

    Args:
        context: Where it runs.
        task: What is done.
        folds: Their numbers.
        search_per_fold: Whether each fold has a search of its own, instead of one search for all.
        workers: Folds that run at once, after the search that they share.
        on_plan: Called with the cost of a global search before it starts.
        observers: Called with every evaluation and generation of a global search.

    Raises:
        InputError: Data or settings are wrong, or no videos are left for one search.
        OperationalError: A stage failed.
    """
    if len(folds) == 1:
        task = replace(task, data=task.data.replace(split=folds[0]))
        only = run_pipeline(context, task, on_plan=on_plan, observers=observers)
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
            searched = search_structures(stage, shared, search, stages, on_plan, observers)

        work = partial(_run_fold, task=task, searched=searched)
        found = in_each_fold(
            stage,
            task.data,
            folds,
            partial(work, on_plan=on_plan, observers=observers),
            Ahead(work, workers),
        )
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
        if stage.result is None or not outcome.report.exists():
            write_report({str(stage.folder): stage.folder}, outcome.report)
    return outcome


def _run_fold(
    context: RunContext,
    data: DataConfig,
    folder: str,
    *,
    task: PipelineTask,
    searched: Searches | None,
    on_plan: Callable[[CostPlan], None] | None = None,
    observers: Sequence[SearchObserver] = (),
) -> PipelineOutcome:
    return run_pipeline(
        context,
        replace(task, data=data),
        on_plan=on_plan or (lambda _: None),
        observers=observers,
        folder=folder,
        searched=searched,
    )


def _write_folds(folder: Path, outcome: FoldsOutcome) -> None:
    means = {name: outcome.mean(name) for name in (HAND_DESIGNED, "searched")}
    summary = {
        "folds": {
            str(fold): {
                "shipped": one.contest.shipped,
                "model": str(one.model.relative_to(folder)),
                "test": {
                    name: {metric: vars(score) for metric, score in contestant.test.items()}
                    for name, contestant in one.contestants.items()
                },
            }
            for fold, one in outcome.folds.items()
        },
        "mean": {name: {metric: score.mean for metric, score in of.items()} for name, of in means.items()},
        "difference": {metric: found.as_dict() for metric, found in outcome.differences.items()},
    }
    write_json(folder / SUMMARY, summary)
    metrics = {f"{name}/{metric}": score.mean for name, of in means.items() for metric, score in of.items()}
    write_result(folder, summary, (SUMMARY,), metrics=metrics | difference_metrics(outcome.differences))
