"""`g2l demo`."""

from __future__ import annotations

from pathlib import Path

from g2l.config import DEMO, PRESETS, BackboneConfig, DataConfig

from . import console, tables
from .live import SearchView
from .search_global import adjust_search
from .session import run_context
from .settings import DemoConfig

DATASET = "kitchen"


def demo(run: DemoConfig) -> None:
    """Run the whole pipeline on a small synthetic data set: no download, a few minutes on two cores.

    Example: g2l demo
    """
    from g2l.pipeline.pipeline import PipelineTask, run_pipeline

    preset = PRESETS[DEMO]
    placement = adjust_search({}, run.device)
    with run_context(run, "demo", DATASET) as context:
        root = context.folder / "data"
        _make_data(root, run.seed)
        task = PipelineTask(
            data=DataConfig(data_root=root, dataset=DATASET, split=1, seed=run.seed).validate(),
            backbone=BackboneConfig(stages=2, layers=6, feature_maps=32),
            recipe=preset.recipe,
            global_search=preset.global_search.replace(**placement),
            local_search=preset.local_search,
            seeds=2,
            seed=run.seed,
        )
        outcome = run_pipeline(
            context, task, on_plan=tables.cost_plan, observers=[SearchView(context.progress.show)]
        )
        tables.comparison("Synthetic kitchen, test partition, 2 seeds", outcome, task.backbone.topology)
        console.say(f"model: {outcome.model} · predictions: {outcome.predictions}")
        console.say(f"every candidate, rate, metric and checkpoint: {_where_to_look()}")
    if run.report:
        console.say(f"report: {outcome.report}")


def _make_data(root: Path, seed: int) -> None:
    """Write the data set, unless a run that is resumed has it already."""
    import numpy as np

    from g2l.datasets.synthetic import kitchen, write_dataset

    if not (root / DATASET).exists():
        write_dataset(root, DATASET, kitchen(np.random.default_rng(seed)))


def _where_to_look() -> str:
    from g2l.tracking.environment import tracking_uri, without_password

    store = without_password(tracking_uri())
    return store if store.startswith("http") else f"mlflow ui --backend-store-uri {store}"
