"""`g2l context`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from g2l.config import BackboneConfig, DataConfig, RecipeConfig
from g2l.errors import InputError
from g2l.settings import Settings, setting

from . import console
from .inputs import check_backbone, open_model
from .options import Uses, uses_of
from .session import run_context
from .settings import PublishedConfig, RunConfig, first

if TYPE_CHECKING:
    from g2l.pipeline.context_curve import ContextCurve


class ContextConfig(Settings):
    """How finely the context that the data need, or that a model uses, is measured."""

    model: str | None = first(
        None, "Trained model (.onnx, .safetensors) to measure by hiding context from it, without training."
    )
    points: int | None = first(
        None, "Receptive fields to compare.", at_least=2, default_text="5; 12 of a model"
    )
    repeats: int | None = setting(
        None,
        "Trainings per receptive field, each with another hold-out and seed.",
        at_least=2,
        default_text="2",
    )


def context(
    data: DataConfig,
    context: ContextConfig,
    run: RunConfig,
    recipe: Annotated[
        RecipeConfig,
        Uses(first=("epochs",), without=("selection", "refit"), defaults={"epochs": 60, "batch_size": 1}),
    ],
    backbone: Annotated[
        BackboneConfig,
        Uses(only=("name", "feature_maps", "dropout", "causal"), defaults={"feature_maps": 32}),
    ],
) -> None:
    """Measure how much context the data need, with small trainings; writes a suggested structure.json.

    Example: g2l context --dataset gtea --split 1
    """
    from g2l.datasets.facts import resolve_config
    from g2l.pipeline.context_curve import ContextTask, measure_context
    from g2l.pipeline.context_of_model import ModelContextTask, measure_model_context

    check_backbone(backbone)
    session = None
    if context.model is not None:
        _refuse_training_options(data, context, {"training": recipe, "backbone": backbone})
        session = open_model(context.model, PublishedConfig(), run.device)
    title = f"{data.dataset} split {data.split}, hold-out"
    with run_context(run, "context", f"{data.dataset}-split{data.split}") as opened:
        if session is not None:
            of_model = ModelContextTask(data=resolve_config(data), points=context.points or 12)
            curve, suggested = measure_model_context(opened, session, of_model)
        else:
            task = ContextTask(
                data=resolve_config(data),
                backbone=backbone,
                recipe=recipe,
                points=context.points or 5,
                repeats=context.repeats or 2,
                seed=run.seed,
            )
            title += f", {console.count(task.repeats, 'training')} each"
            curve, suggested = measure_context(opened, task)
        _show(title, curve)
        layers = ", ".join(str(depth) for depth in suggested.shape)
        topology = (backbone if session is None else session.metadata.backbone).topology
        field = topology.receptive_field(suggested).frames
        console.data(
            f"Suggested: stages of {layers} layers, the smallest of its kind that sees so much ({field:,} "
            f"frames; {opened.folder / 'structure.json'})."
        )


def _refuse_training_options(
    data: DataConfig, given: ContextConfig, configs: Mapping[str, RecipeConfig | BackboneConfig]
) -> None:
    """Raise `InputError` where options were given that are of no use with a model."""
    usual = [uses.usual() for uses in uses_of(context).values()]
    used = {
        "--repeats": given.repeats is not None,
        "--sample-rate": data.sample_rate is not None,
        "--normalize": data.normalize is not None,
        **{f"options of the {name}": config not in usual for name, config in configs.items()},
    }
    found = [name for name, is_given in used.items() if is_given]
    if found:
        raise InputError(f"{', '.join(found)} cannot be given with --model, which sets them.")


def _show(title: str, curve: ContextCurve) -> None:
    from g2l.pipeline.context_curve import METRICS

    unit = curve.seconds_per_frame
    rows = [
        {
            "receptive field\n(frames)": f"{point.frames:,}",
            "(s)": "–" if unit is None else f"{point.frames * unit:.3g}",
            **{name.replace("f1", "F1"): f"{point.scores[name]:.1f}" for name in METRICS},
            "F1 below\nthe best": f"{point.loss:.1f}",
            **({} if point.unchanged is None else {"labels\nunchanged": f"{point.unchanged:.1%}"}),
        }
        for point in curve.points
    ]
    console.table(title, rows)
    console.data(curve.words())
