"""`g2l context`."""

from __future__ import annotations

from typing import Annotated

from g2l.config import BackboneConfig, DataConfig, RecipeConfig

from . import console
from .inputs import check_backbone
from .options import Uses
from .session import run_context
from .settings import ContextConfig, RunConfig


def context(
    data: DataConfig,
    context: ContextConfig,
    run: RunConfig,
    recipe: Annotated[RecipeConfig, Uses(first=("epochs",), without=("selection",))],
    backbone: Annotated[BackboneConfig, Uses(only=("name", "feature_maps", "dropout", "causal"))],
) -> None:
    """Measure how much context the data need, with small trainings; writes a suggested structure.json.

    Example: g2l context --dataset gtea --split 1 --epochs 30
    """
    from g2l.datasets.facts import resolve_config
    from g2l.pipeline.context_curve import METRICS, ContextTask, measure_context

    check_backbone(backbone)
    task = ContextTask(
        data=resolve_config(data),
        backbone=backbone,
        recipe=recipe,
        points=context.points,
        repeats=context.repeats,
        seed=run.seed,
    )
    with run_context(run, "context", f"{data.dataset}-split{data.split}") as opened:
        curve, suggested = measure_context(opened, task)
        unit = curve.seconds_per_frame
        rows = [
            (
                f"{point.frames:,}",
                "–" if unit is None else f"{point.frames * unit:.3g}",
                *(f"{point.scores[name]:.1f}" for name in METRICS),
                f"{point.loss:.1f}",
            )
            for point in curve.points
        ]
        title = f"{data.dataset} split {data.split}, hold-out, {console.count(task.repeats, 'training')} each"
        columns = ("receptive field\n(frames)", "(s)", "F1", "edit", "accuracy", "F1 below\nthe best")
        console.table(title, columns, rows)
        console.data(curve.words())
        layers = ", ".join(str(depth) for depth in suggested.shape)
        console.data(f"Suggested: stages of {layers} rates ({opened.folder / 'structure.json'}).")
