"""`g2l search-local`."""

from __future__ import annotations

from typing import Annotated

from g2l.config import BackboneConfig, DataConfig, LocalSearchConfig, RecipeConfig

from . import console
from .options import Uses
from .session import announce, workplace
from .settings import PresetConfig, RunConfig, StartConfig
from .structures import chosen_structure


def search_local(
    data: DataConfig,
    start: StartConfig,
    preset: PresetConfig,
    run: RunConfig,
    search: Annotated[LocalSearchConfig, Uses(advanced=("expansion_rate", "updates"))],
    backbone: BackboneConfig,
    recipe: RecipeConfig,
) -> None:
    """Refine dilation rates while training; writes structure.json and the trained weights.

    Example: g2l search-local --dataset gtea --split 1 --structure structure.json
    """
    from g2l.pipeline.local_search import LocalSearchTask, search_locally

    structure, _ = chosen_structure(backbone, start)
    task = LocalSearchTask(
        data=data, backbone=backbone, recipe=recipe, search=search, structure=structure, seed=run.seed
    )
    with workplace(run, "search-local", f"{data.dataset}-split{data.split}") as place:
        found = search_locally(place, task)
        console.say(f"{place.folder / 'structure.json'}: {found.structure}")
        announce(place, found.run_id)
