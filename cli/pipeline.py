"""`g2l pipeline`, and `g2l demo`, which runs it on synthetic data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from g2l.config import (
    DEMO,
    BackboneConfig,
    Budget,
    DataConfig,
    GlobalSearchConfig,
    LocalSearchConfig,
    RecipeConfig,
    Space,
)
from g2l.shipping import ContestConfig

from . import console, tables
from .inputs import check_backbone
from .options import Uses
from .search_global import adjust_search
from .session import run_context
from .settings import FoldsConfig, PresetConfig, RunConfig, SeedsConfig

if TYPE_CHECKING:
    from g2l.pipeline.context import RunContext
    from g2l.pipeline.pipeline import PipelineTask


def pipeline(
    data: Annotated[DataConfig, Uses(without=("split",))],
    folds: FoldsConfig,
    preset: PresetConfig,
    seeds: SeedsConfig,
    global_search: Annotated[
        GlobalSearchConfig,  # the end of the pipeline compares with --seeds trainings
        Uses(without=("final_seeds",), rare=("space",), adjust=adjust_search),
    ],
    run: RunConfig,
    backbone: BackboneConfig,
    recipe: Annotated[RecipeConfig, Uses(rare=("class_weights", "batch_size"))],
    local_search: LocalSearchConfig,
    contest: ContestConfig,
) -> None:
    """Search, train, export the better structure, and predict and score the test videos.

    Example: g2l pipeline --dataset gtea --split 1 --preset fast --seeds 3
    """
    from g2l.datasets.facts import resolve_config
    from g2l.pipeline.folds import chosen_folds
    from g2l.pipeline.pipeline import PipelineTask

    check_backbone(backbone)
    chosen = chosen_folds(data, folds.split, tested=True)
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
    with run_context(run, "pipeline", f"{data.dataset}-split{folds.split}") as context:
        title = f"{data.dataset} split {folds.split}, test partition"
        _run(context, task, chosen, title, folds)


def demo(run: RunConfig) -> None:
    """Run the whole pipeline on a small synthetic data set, in one or two minutes on two cores.

    A label depends on the frames 20 before and after it; the hand-designed network sees 14 on each side.

    Example: g2l demo
    """
    import numpy as np

    from g2l.datasets.synthetic import lags, write_dataset
    from g2l.pipeline.pipeline import PipelineTask

    name = "lags"
    with run_context(run, "demo", name) as context:
        root = context.folder / "data"
        if not (root / name).exists():  # else it is resumed
            write_dataset(root, name, lags(np.random.default_rng(run.seed), (20,), frames=120, feature_dim=3))
        search = {"space": Space.RATES, "generations": 1, "max_exponent": 4}
        task = PipelineTask(
            data=DataConfig(data_root=root, dataset=name, split=1, seed=run.seed).validate(),
            backbone=BackboneConfig(stages=2, layers=3, feature_maps=8, dropout=0.1),
            recipe=RecipeConfig.of_preset(DEMO).replace(epochs=10, batch_size=2, learning_rate=1e-2),
            global_search=GlobalSearchConfig.of_preset(DEMO).replace(
                **adjust_search(search, run.device, DEMO)
            ),
            local_search=LocalSearchConfig.of_preset(DEMO).replace(interval=Budget(4, "steps"), updates=5),
            seeds=3,
            seed=run.seed,
        )
        _run(context, task, (1,), "Synthetic lags, test partition, 3 seeds", FoldsConfig())


def _run(
    context: RunContext, task: PipelineTask, folds: tuple[int, ...], title: str, chosen: FoldsConfig
) -> None:
    from g2l.pipeline.pipeline import run_folds

    view = tables.SearchView(context.progress.show)
    context = replace(context, on_plan=tables.cost_plan, observers=(view,))
    outcome = run_folds(
        context, task, folds, search_per_fold=chosen.search_per_fold, workers=chosen.fold_workers
    )
    if len(folds) == 1:
        tables.comparison(title, outcome.folds[folds[0]], task.backbone.topology)
    else:
        tables.fold_comparison(title, outcome)
    for fold, one in outcome.folds.items():
        of_fold = f" of fold {fold}" if len(folds) > 1 else ""
        console.say(f"model{of_fold}: {one.model} · predictions: {one.predictions}")
    console.say(f"report: {outcome.report}")
