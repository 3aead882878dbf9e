"""`g2l pipeline`."""

from __future__ import annotations

from typing import Annotated

from g2l.config import (
    BackboneConfig,
    DataConfig,
    GlobalSearchConfig,
    LocalSearchConfig,
    RecipeConfig,
)
from g2l.shipping import ContestConfig

from . import console, tables
from .live import SearchView
from .options import Uses
from .search_global import adjust_search
from .session import run_context
from .settings import PresetConfig, RunConfig, SeedsConfig
from .structures import check_backbone


def pipeline(
    data: DataConfig,
    preset: PresetConfig,
    seeds: SeedsConfig,
    global_search: Annotated[
        GlobalSearchConfig,
        Uses(without=("final_seeds",), adjust=adjust_search),  # its own end compares with --seeds trainings
    ],
    run: RunConfig,
    backbone: BackboneConfig,
    recipe: RecipeConfig,
    local_search: LocalSearchConfig,
    contest: ContestConfig,
) -> None:
    """Search globally, then locally, ship the better structure by hold-outs, export, predict on test.

    Example: g2l pipeline --dataset gtea --split 1 --preset fast --seeds 3
    """
    from g2l.datasets.facts import resolve_config
    from g2l.pipeline.pipeline import PipelineTask, run_pipeline

    check_backbone(backbone)
    task = PipelineTask(
        data=resolve_config(data),
        backbone=backbone,
        recipe=recipe,
        global_search=global_search,
        local_search=local_search,
        contest=contest,
        seeds=seeds.seeds,
        seed=run.seed,
    )
    with run_context(run, "pipeline", f"{data.dataset}-split{data.split}") as context:
        outcome = run_pipeline(
            context, task, on_plan=tables.cost_plan, observers=[SearchView(context.progress.show)]
        )
        title = f"{data.dataset} split {data.split}, test partition"
        tables.comparison(title, outcome, backbone.topology)
        console.say(f"model: {outcome.model} · predictions: {outcome.predictions}")
        console.say(f"report: {outcome.report}")
