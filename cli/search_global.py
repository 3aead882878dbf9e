"""`g2l search-global`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from g2l.config import (
    BackboneConfig,
    DataConfig,
    ExecutorKind,
    GlobalSearchConfig,
    ProxyChoice,
    RecipeConfig,
    Space,
)
from g2l.errors import InputError

from . import console, tables
from .inputs import check_backbone
from .options import Uses, option_list
from .session import run_context
from .settings import FoldsConfig, PresetConfig, RunConfig, printing

if TYPE_CHECKING:
    from g2l.pipeline.search_outcome import GlobalSearchOutcome

ONLY_FOR = {
    Space.SHAPES: ["shapes", "prefer", "max_epochs"],
    Space.RATES: [
        "holdouts",
        "strategy",
        "population",
        "generations",
        "proxy",
        "budget",
        "leaders",
        "max_exponent",
        "mutation_probability",
        "gene_mutation_probability",
        "survival_margin",
    ],
}
"""Settings that a search of one space has and a search of the other has not."""

BUDGET_OF_RATES = 24.0
"""Full trainings that a search of rates needs, where those of shapes have a smaller budget."""


class SearchRunConfig(RunConfig):
    """Device, output folder and verbosity of a global search."""

    dry_run: bool = printing("Print the cost of the search; write nothing.")


def choose_space(given: dict[str, Any], preset: str) -> dict[str, Any]:
    """Return the given settings with the space that they need, and with its budget.

    Raises:
        InputError: They belong to different spaces, or not to the given one.
    """
    usual = GlobalSearchConfig.of_preset(preset)
    needed = {space: [name for name in names if name in given] for space, names in ONLY_FOR.items()}
    needed = {space: names for space, names in needed.items() if names}
    space = given.get("space") or (usual.space if len(needed) != 1 else next(iter(needed)))
    for other, names in needed.items():
        if space not in (other, Space.BOTH):
            raise InputError(
                f"{option_list(GlobalSearchConfig, names)} needs `--space {other}`, but the space is {space} "
                "instead."
            )
    larger = space is not Space.SHAPES and usual.trainings is not None
    return ({"trainings": BUDGET_OF_RATES} if larger else {}) | given | {"space": space}


def adjust_search(given: dict[str, Any], device: str, preset: str) -> dict[str, Any]:
    """Return the given settings of a global search, completed by those that follow from them.

    Candidates are trained by a process per core on the CPU, one after the other on a GPU. A given length of
    their training is fixed. Settings of one space choose it. Those that exclude each other are an InputError.
    """
    from g2l.machine import usable_cores
    from g2l.training.device import resolve_device

    given = choose_space(given, preset)
    executor, workers = given.get("executor"), given.get("workers")
    if given.get("ray_address") is not None and workers is not None:
        raise InputError("give --ray-address, whose cluster has its own size, or --workers, not both.")
    if executor is ExecutorKind.SERIAL and workers not in (None, 1):
        raise InputError(f"`--workers` must be 1 with --executor serial, but is {workers} instead.")
    if executor is None:
        alone = workers == 1 or (workers is None and resolve_device(device).type == "cuda")
        executor = ExecutorKind.SERIAL if alone else ExecutorKind.PROCESS
    usual: dict[str, Any] = {"workers": 1 if executor is ExecutorKind.SERIAL else usable_cores()}
    if executor is ExecutorKind.RAY and device == "cuda":
        usual["gpus_per_candidate"] = 1.0
    if "budget" in given and given.get("proxy", ProxyChoice.FIXED) is not ProxyChoice.FIXED:
        proxy = given["proxy"]
        raise InputError(f"give --proxy {proxy}, or the length in --proxy-steps or --proxy-epochs, not both.")
    fixed = {"proxy": ProxyChoice.FIXED} if "budget" in given else {}
    return usual | given | fixed | {"executor": executor}


def search_global(
    data: Annotated[DataConfig, Uses(without=("split",))],
    folds: FoldsConfig,
    preset: PresetConfig,
    search: Annotated[GlobalSearchConfig, Uses(rare=("space",), adjust=adjust_search)],
    run: SearchRunConfig,
    backbone: BackboneConfig,
    recipe: RecipeConfig,
) -> None:
    """Search for a smaller shape that is as good, or for coarse dilation rates.

    Example: g2l search-global --dataset gtea --split 1 --preset fast
    """
    from g2l.datasets.facts import resolve_config
    from g2l.pipeline.candidates import GlobalSearchTask
    from g2l.pipeline.data import DataSets
    from g2l.pipeline.folds import chosen_folds, common_data, fold_data, search_folds
    from g2l.pipeline.search_global import plan, prepare_search, search_fold

    check_backbone(backbone)
    chosen = chosen_folds(data, folds.split, tested=search.final_seeds > 0)
    task = GlobalSearchTask(
        data=resolve_config(data), backbone=backbone, recipe=recipe, search=search, seed=run.seed
    )
    if run.dry_run:
        console.configure(quiet=run.quiet)
        places = fold_data(task.data, chosen)
        if not folds.search_per_fold:
            places = (common_data(task.data, chosen),)
        plans = []
        for place in places:
            prepared = prepare_search(DataSets(), replace(task, data=place))
            plans.append(plan(prepared, run.device))
            tables.dry_run(f"Cost of a search on {data.dataset} split {place.fold_names}", plans[-1])
        if len(plans) > 1:
            tables.dry_run_of_all(plans)
        return

    def show(found: GlobalSearchOutcome, task: GlobalSearchTask, folder: str) -> None:
        if found.shapes:
            tables.shapes(found, search.fitness, backbone.topology)
        else:
            title = f"The best structures, {data.dataset} split {task.data.fold_names}"
            tables.best_structures(title, found, search.fitness, backbone.topology)
        for line in tables.search_summary(found, trainings=search.trainings):
            console.data(line)
        console.say(f"structure: {context.folder / folder / 'structure.json'}")

    with run_context(run, "search-global", f"{data.dataset}-split{folds.split}") as context:
        view = tables.SearchView(context.progress.show)
        search_folds(
            replace(context, on_plan=tables.cost_plan, observers=(view,)),
            "search-global",
            task,
            chosen,
            search_fold,
            per_fold=folds.search_per_fold,
            workers=folds.fold_workers,
            show=show,
        )
