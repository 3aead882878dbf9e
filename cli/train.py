"""`g2l train`."""

from __future__ import annotations

from typing import Annotated

from g2l.config import BackboneConfig, DataConfig, Ending, LocalSearchConfig, RecipeConfig

from . import console, tables
from .inputs import chosen_structure
from .options import Uses
from .session import run_context
from .settings import PresetConfig, RunConfig, SeedsConfig, StartConfig


def train(
    data: Annotated[DataConfig, Uses(advanced=("data_root",))],
    start: StartConfig,
    preset: PresetConfig,
    seeds: SeedsConfig,
    recipe: Annotated[RecipeConfig, Uses(first=("epochs",), advanced=("selection",))],
    run: RunConfig,
    backbone: Annotated[BackboneConfig, Uses(advanced=("name", "feature_maps"))],
    branching: Annotated[LocalSearchConfig, Uses(only=("ending", "expansion_rate", "branches"))],
) -> None:
    """Train one structure and score it on the test partition.

    Example: g2l train --dataset gtea --split 1 --hand-designed --seeds 3
    """
    from g2l.datasets.facts import resolve_config
    from g2l.pipeline.fitting import Training
    from g2l.pipeline.train import train as train_stage

    structure, origin = chosen_structure(backbone, start)
    training = Training(
        data=resolve_config(data),
        backbone=backbone,
        recipe=recipe,
        structure=structure,
        origin=origin,
        branching=None if branching.ending is Ending.SINGLE else branching,
    )
    with run_context(run, "train", f"{data.dataset}-split{data.split}") as context:
        outcome = train_stage(context, training, run.seed, seeds.seeds)
        tables.scores(
            f"{data.dataset} split {data.split}, test partition, {console.count(seeds.seeds, 'seed')}",
            {origin: outcome.test()},
        )
