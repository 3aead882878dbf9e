"""`g2l search-global`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from . import console, tables
from .live import SearchView
from .options import RUN, BackboneOptions, DataOptions, RecipeOptions, RunOptions
from .search_options import GlobalOptions, LimitOptions
from .session import run_context

if TYPE_CHECKING:
    from g2l.pipeline.candidates import GlobalSearchTask


def search_global(
    data: DataOptions,
    backbone: BackboneOptions,
    recipe: RecipeOptions,
    search: GlobalOptions,
    limits: LimitOptions,
    run: RunOptions,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what the search would cost and write nothing.", rich_help_panel=RUN
        ),
    ] = False,
) -> None:
    """Find coarse dilation rates with the global search; writes structure.json.

    Example: g2l search-global --dataset gtea --split 1 --preset fast
    """
    from g2l.pipeline.candidates import GlobalSearchTask
    from g2l.pipeline.search_global import prepare_search, search_globally

    task = GlobalSearchTask(
        data=data.config(run.seed),
        backbone=backbone.config(),
        recipe=recipe.config(),
        search=limits.within(search.config(recipe.defaults().global_search, run.device)),
        seed=run.seed,
    )
    subject = f"{data.dataset} split {data.split}"
    if dry_run:
        _plan(task, run, f"A search on {subject} would cost")
        return
    with run_context(run, "search-global", f"{data.dataset}-split{data.split}") as context:
        view = SearchView(context.progress.show)
        prepared = prepare_search(context.data, task)
        found = search_globally(context, prepared, on_plan=tables.cost_plan, observers=[view])
        tables.best_structures(
            f"The best structures, {subject}", found, task.search.fitness, task.backbone.topology
        )
        for line in tables.search_summary(found, trainings=task.search.trainings):
            console.data(line)
        console.say(f"structure: {context.folder / 'structure.json'}")


def _plan(task: GlobalSearchTask, run: RunOptions, title: str) -> None:
    from g2l.pipeline.data import DataSets
    from g2l.pipeline.search_global import plan, prepare_search

    console.configure(quiet=run.quiet)
    tables.dry_run(title, plan(prepare_search(DataSets(), task), run.device))
