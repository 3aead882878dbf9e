"""`g2l search-local`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import console
from .options import NETWORK, BackboneOptions, DataOptions, RecipeOptions, RunOptions
from .search_options import LimitOptions, LocalOptions
from .session import run_context
from .structures import chosen_structure


def search_local(
    data: DataOptions,
    backbone: BackboneOptions,
    recipe: RecipeOptions,
    search: LocalOptions,
    limits: LimitOptions,
    run: RunOptions,
    structure: Annotated[
        str | None,
        typer.Option(
            help="Where to start: structure file (official JSON too), runs:/… or models:/….",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    hand_designed: Annotated[
        bool,
        typer.Option(
            "--hand-designed/--no-hand-designed", help="Start from the rates 2^l.", rich_help_panel=NETWORK
        ),
    ] = False,
) -> None:
    """Refine dilation rates while training; writes structure.json and the trained weights.

    Example: g2l search-local --dataset gtea --split 1 --structure structure.json
    """
    from g2l.pipeline.search_local import LocalSearchTask, search_locally

    chosen, size, _ = chosen_structure(backbone, structure, hand_designed=hand_designed)
    task = LocalSearchTask(
        data=data.config(run.seed),
        backbone=size,
        recipe=recipe.config(),
        search=limits.within(search.config(recipe.defaults().local_search)),
        structure=chosen,
        seed=run.seed,
    )
    with run_context(run, "search-local", f"{data.dataset}-split{data.split}") as context:
        found = search_locally(context, task)
        console.say(f"{context.folder / 'structure.json'}: {found.structure}")
