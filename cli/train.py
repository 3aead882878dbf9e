"""`g2l train`."""

from __future__ import annotations

from typing import Annotated

from g2l.config import BackboneConfig, DataConfig, Ending, LocalSearchConfig, RecipeConfig

from . import console, tables
from .inputs import chosen_structure
from .options import Uses
from .session import run_context
from .settings import FoldsConfig, PresetConfig, RunConfig, SeedsConfig, StartConfig


def train(
    data: Annotated[DataConfig, Uses(advanced=("data_root",), without=("split",))],
    folds: Annotated[FoldsConfig, Uses(only=("split", "fold_workers"))],
    start: StartConfig,
    preset: PresetConfig,
    seeds: SeedsConfig,
    recipe: Annotated[RecipeConfig, Uses(first=("epochs",), advanced=("selection",))],
    run: RunConfig,
    backbone: Annotated[BackboneConfig, Uses(advanced=("name", "feature_maps"))],
    branching: Annotated[LocalSearchConfig, Uses(only=("ending", "expansion_rate", "branches"))],
) -> None:
    """Train one structure and score it on the test partition.

    Example: g2l train --dataset gtea --split all --hand-designed --seeds 3
    """
    from g2l.datasets.facts import resolve_config
    from g2l.pipeline.fitting import Training
    from g2l.pipeline.folds import chosen_folds
    from g2l.pipeline.train import train_folds

    chosen = chosen_folds(data, folds.split)
    structure, origin = chosen_structure(backbone, start, data, chosen)
    training = Training(
        data=resolve_config(data),
        backbone=backbone,
        recipe=recipe,
        structure=structure,
        origin=origin,
        branching=None if branching.ending is Ending.SINGLE else branching,
    )
    with run_context(run, "train", f"{data.dataset}-split{folds.split}") as context:
        found = train_folds(context, training, chosen, run.seed, seeds.seeds, folds.fold_workers)
        rows = {fold: {origin: outcome.test()} for fold, outcome in found.items()}
        count = console.count(seeds.seeds, "seed")
        tables.fold_scores(f"{data.dataset} split {folds.split}, test partition, {count}", rows)
