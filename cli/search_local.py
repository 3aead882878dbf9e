"""`g2l search-local`."""

from __future__ import annotations

from typing import Annotated

from g2l.config import BackboneConfig, DataConfig, LocalSearchConfig, RecipeConfig

from . import console
from .inputs import chosen_structure
from .options import Uses
from .session import run_context
from .settings import PresetConfig, RunConfig, StartConfig


def search_local(
    data: DataConfig,
    start: StartConfig,
    preset: PresetConfig,
    run: RunConfig,
    search: Annotated[LocalSearchConfig, Uses(advanced=("expansion_rate", "updates"))],
    backbone: BackboneConfig,
    recipe: Annotated[
        RecipeConfig, Uses(without=("selection", "refit", "monitor"))
    ],  # it keeps the last weights
) -> None:
    """Refine dilation rates while training; writes structure.json and the trained weights.

    Example: g2l search-local --dataset gtea --split 1 --structure structure.json
    """
    from g2l.datasets.facts import resolve_config
    from g2l.pipeline.search_local import LocalSearchTask, search_locally

    structure, _ = chosen_structure(backbone, start)
    task = LocalSearchTask(
        data=resolve_config(data),
        backbone=backbone,
        recipe=recipe,
        search=search,
        structure=structure,
        seed=run.seed,
    )
    with run_context(run, "search-local", f"{data.dataset}-split{data.split}") as context:
        found = search_locally(context, task)
        console.say(f"{context.folder / 'structure.json'}: {found.structure}")
