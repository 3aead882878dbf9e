"""`g2l search-global`."""

from __future__ import annotations

from . import console, tables
from .options import BackboneOptions, DataOptions, RecipeOptions, RunOptions
from .search_options import GlobalOptions
from .session import announce, workplace


def search_global(
    data: DataOptions,
    backbone: BackboneOptions,
    recipe: RecipeOptions,
    search: GlobalOptions,
    run: RunOptions,
) -> None:
    """Find coarse dilation rates with the genetic search; writes structure.json.

    Example: g2l search-global --dataset gtea --split 1 --preset fast
    """
    from g2l.pipeline.candidates import GlobalSearchTask
    from g2l.pipeline.global_search import search_globally

    task = GlobalSearchTask(
        data=data.config(run.seed),
        backbone=backbone.config(),
        recipe=recipe.config(),
        search=search.config(recipe.defaults().global_search, run.device),
        seed=run.seed,
    )
    with workplace(run, "search-global", f"{data.dataset}-split{data.split}") as place:
        found = search_globally(place, task, on_plan=tables.cost_plan)
        console.say(
            f"hold-out {task.search.fitness} after {task.search.budget}, one seed: {found.fitness:.1f}, "
            f"hand-designed {found.hand_designed_fitness:.1f}; a difference of a point or two is noise"
        )
        console.say(f"{place.folder / 'structure.json'}: {found.structure}")
        announce(place, found.run_id)
