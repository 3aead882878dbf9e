"""`g2l train`."""

from __future__ import annotations

from typing import Annotated

import typer

from g2l.receptive_field import Ending

from . import tables
from .options import NETWORK, RECIPE, BackboneOptions, DataOptions, RecipeOptions, RunOptions
from .search_options import ENDINGS
from .session import run_context
from .structures import chosen_structure


def train(
    data: DataOptions,
    backbone: BackboneOptions,
    recipe: RecipeOptions,
    run: RunOptions,
    structure: Annotated[
        str | None,
        typer.Option(help="Structure file, runs:/… or models:/….", rich_help_panel=NETWORK),
    ] = None,
    hand_designed: Annotated[
        bool,
        typer.Option(
            "--hand-designed/--no-hand-designed", help="Rates 2^l: the baseline.", rich_help_panel=NETWORK
        ),
    ] = False,
    ending: Annotated[
        Ending, typer.Option(help=f"Around each rate: {ENDINGS}", rich_help_panel=NETWORK)
    ] = Ending.SINGLE,
    seeds: Annotated[
        int, typer.Option(min=1, help="Trainings, with seeds SEED, SEED + 1, …", rich_help_panel=RECIPE)
    ] = 1,
) -> None:
    """Train one structure and score it on the test partition.

    Example: g2l train --dataset gtea --split 1 --hand-designed --seeds 3
    """
    from g2l.pipeline.train import Training
    from g2l.pipeline.train import train as train_stage

    chosen, size, origin = chosen_structure(backbone, structure, hand_designed=hand_designed)
    branching = recipe.defaults().local_search.replace(ending=ending)
    training = Training(
        data=data.config(run.seed),
        backbone=size,
        recipe=recipe.config(),
        structure=chosen,
        origin=origin,
        branching=None if ending is Ending.SINGLE else branching,
    )
    with run_context(run, "train", f"{data.dataset}-split{data.split}") as context:
        outcome = train_stage(context, training, range(run.seed, run.seed + seeds))
        tables.scores(
            f"{data.dataset} split {data.split}, test partition, {seeds} seed{'s' if seeds > 1 else ''}",
            {origin: outcome.test()},
        )
