"""`g2l pipeline`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import console, tables
from .live import SearchView
from .options import RECIPE, BackboneOptions, DataOptions, RecipeOptions, RunOptions
from .search_options import GlobalOptions, LimitOptions, LocalOptions
from .session import run_context


def pipeline(
    data: DataOptions,
    backbone: BackboneOptions,
    recipe: RecipeOptions,
    global_search: GlobalOptions,
    local_search: LocalOptions,
    limits: LimitOptions,
    run: RunOptions,
    seeds: Annotated[
        int, typer.Option(min=1, help="Trainings of each structure.", rich_help_panel=RECIPE)
    ] = 1,
) -> None:
    """Search globally, then locally, train beside the hand-designed baseline, export, predict on test.

    Example: g2l pipeline --dataset gtea --split 1 --preset fast --seeds 3
    """
    from g2l.pipeline.pipeline import PipelineTask, run_pipeline

    defaults = recipe.defaults()
    task = PipelineTask(
        data=data.config(run.seed),
        backbone=backbone.config(),
        recipe=recipe.config(),
        global_search=limits.within(global_search.config(defaults.global_search, run.device)),
        local_search=limits.within(local_search.config(defaults.local_search)),
        seeds=seeds,
        seed=run.seed,
    )
    with run_context(run, "pipeline", f"{data.dataset}-split{data.split}") as context:
        outcome = run_pipeline(
            context, task, on_plan=tables.cost_plan, observers=[SearchView(context.progress.show)]
        )
        title = f"{data.dataset} split {data.split}, test partition"
        tables.comparison(title, outcome, task.backbone.topology)
        console.say(f"model: {outcome.model} · predictions: {outcome.predictions}")
        console.say(f"report: {outcome.report}")
