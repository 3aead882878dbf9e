"""`g2l search-local`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from g2l.config import BackboneConfig, DataConfig, LocalSearchConfig, RecipeConfig

from . import console
from .inputs import chosen_structure
from .options import Uses
from .session import run_context
from .settings import FoldsConfig, PresetConfig, RunConfig, StartConfig

if TYPE_CHECKING:
    from g2l.pipeline.search_local import LocalSearchOutcome


def search_local(
    data: Annotated[DataConfig, Uses(without=("split",))],
    folds: FoldsConfig,
    start: StartConfig,
    preset: PresetConfig,
    run: RunConfig,
    search: Annotated[LocalSearchConfig, Uses(advanced=("expansion_rate", "updates"))],
    backbone: BackboneConfig,
    recipe: Annotated[
        RecipeConfig, Uses(without=("selection", "refit", "monitor"))
    ],  # it keeps the last weights
) -> None:
    """Refine the dilation rates of a structure during training.

    Example: g2l search-local --dataset gtea --split 1 --structure structure.json
    """
    from g2l.datasets.facts import resolve_config
    from g2l.pipeline.folds import chosen_folds, search_folds
    from g2l.pipeline.search_local import LocalSearchTask, search_locally

    chosen = chosen_folds(data, folds.split)
    structure, _ = chosen_structure(backbone, start, data, chosen)
    task = LocalSearchTask(
        data=resolve_config(data),
        backbone=backbone,
        recipe=recipe,
        search=search,
        structure=structure,
        seed=run.seed,
    )

    def show(found: LocalSearchOutcome, task: LocalSearchTask, folder: str) -> None:
        console.say(f"{context.folder / folder / 'structure.json'}: {found.structure}")

    with run_context(run, "search-local", f"{data.dataset}-split{folds.split}") as context:
        search_folds(
            context,
            "search-local",
            task,
            chosen,
            search_locally,
            per_fold=folds.search_per_fold,
            workers=folds.fold_workers,
            show=show,
        )
