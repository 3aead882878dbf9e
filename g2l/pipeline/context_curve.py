"""How much context the data need: hold-out scores against receptive field, from a handful of trainings.

All trainings have one network of two stages, whose rates are 2^l up to a cap: a larger cap means a larger
receptive field at the same number of parameters and multiply-adds. Each is repeated with another hold-out
and seed, and scored at its best epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from g2l.config import BackboneConfig, DataConfig, RecipeConfig, Selection
from g2l.errors import InputError
from g2l.figures.results import context_curve
from g2l.metrics.length import smoothed
from g2l.metrics.scores import metric_value
from g2l.pipeline.context import RunContext
from g2l.pipeline.data import describe_data
from g2l.pipeline.fitting import CHECKPOINT, Training, fit_network
from g2l.records import RunKind, write_result, write_table
from g2l.search.candidates import nothing_learnt
from g2l.seeds import SeedPlan
from g2l.structure import DilationStructure
from g2l.structure_files import write_structure
from g2l.training.device import resolve_device
from g2l.training.evaluate import evaluate_model
from g2l.training.state import TrainingResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRUCTURE = "structure.json"
METRICS = ("f1", "edit", "accuracy")
RISE = "rise"
"""Beside the metrics of a training: what its F1 gains in the last third of its epochs, smoothed."""
STAGES = 2
SMALLEST, DEEPEST = 4, 11
"""Layers of a stage."""
CONFIDENCE = 0.9
NOTICEABLE = 3.0
"""F1 that too short a context usually costs (METHOD, section 8): an interval above it decides nothing."""
FEW = 3
"""Receptive fields that an estimate of the noise needs."""
LOST = 0.5
"""F1 that a model may lose by what it is said not to need; its scores have no noise of training."""


@dataclass(frozen=True, kw_only=True)
class ContextTask:
    """A measurement of context.

    Attributes:
        data: Data set, split and how it is read.
        backbone: Network; only its stages are those of this module.
        recipe: How each network is trained.
        points: Receptive fields, at least two.
        repeats: Trainings of each, at least two, with another hold-out and seed.
        seed: Of the run; the trainings take theirs from `SeedPlan`.
    """

    data: DataConfig
    backbone: BackboneConfig
    recipe: RecipeConfig
    points: int = 5
    repeats: int = 2
    seed: int = 0

    def settings(self) -> dict[str, Any]:
        """Return the resolved configuration as JSON values."""
        return {
            "data": self.data.as_dict(),
            "backbone": self.backbone.as_dict(),
            "recipe": self.recipe.as_dict(),
            "points": self.points,
            "repeats": self.repeats,
            "seed": self.seed,
        }


@dataclass(frozen=True, kw_only=True)
class ContextPoint:
    """One receptive field.

    Attributes:
        frames: Of the receptive field, as the network sees them.
        scores: Mean hold-out metrics in percent.
        loss: F1 below that of the best receptive field.
        unchanged: Share of the labels of a trained model that are those of its whole context; None where
            networks were trained.
    """

    frames: int
    scores: Mapping[str, float]
    loss: float
    unchanged: float | None = None


@dataclass(frozen=True, kw_only=True)
class ContextCurve:
    """Scores against receptive field.

    Attributes:
        points: By receptive field, ascending.
        error: Half the 90 % interval of a difference of two points in F1.
        needed: Index of the smallest receptive field whose loss is within that interval (of a model: from
            which on it is below `LOST`); of the best one where the interval is too wide to tell, and of the
            largest one where nothing was learnt.
        seconds_per_frame: Of a frame as the network sees it, or None.
        verdict: Why nothing was learnt, or None.
        rising: Whether the next smaller receptive field would catch up with the best one if its F1 went on
            rising for as many epochs again: small ones can take longer to train.
        causal: Whether the networks see the past alone.
    """

    points: tuple[ContextPoint, ...]
    error: float
    needed: int
    seconds_per_frame: float | None
    verdict: str | None = None
    rising: bool = False
    causal: bool = False

    @property
    def undecided(self) -> bool:
        """Whether a loss that matters could go unseen."""
        return self.error > NOTICEABLE and self.points[0].unchanged is None

    def words(self) -> str:
        """Return what was found, in a sentence or two."""
        if self.verdict is not None:
            return self.verdict
        point = self.points[self.needed]
        if self.undecided:
            return (
                f"Undecided: {self._radius(point)} scored best, but differences below {self.error:.1f} F1 "
                "cannot be seen. Add --repeats."
            )
        if point.unchanged is not None:
            said = (
                f"The model gains less than {LOST} F1 from frames beyond {self._radius(point)} "
                f"({1 - point.unchanged:.1%} of the labels change)"
            )
        elif self.needed == len(self.points) - 1:
            gain = self.points[-2].loss - point.loss
            said = f"The largest context, {self._radius(point)}, is the best by {gain:.1f} F1: try longer."
        else:
            said = f"Beyond {self._radius(point)} nothing is gained (± {self.error:.1f} F1)"
        if self.needed == 0:
            return f"{said}: the smallest context that was tried."
        below = self.points[self.needed - 1]
        joint = " With" if said.endswith(".") else "; with"
        late = ", but that still rises at the end of its training: raise --epochs" if self.rising else ""
        return f"{said}{joint} {self._radius(below)} you lose {below.loss:.1f} F1{late}."

    def _radius(self, point: ContextPoint) -> str:
        frames = point.frames - 1 if self.causal else (point.frames - 1) // 2
        sides = "the last " if self.causal else "± "
        if self.seconds_per_frame is None:
            return f"{sides}{frames} frames"
        return f"{sides}{frames * self.seconds_per_frame:.3g} s ({frames} frames)"


def measure_context(
    context: RunContext, task: ContextTask, *, folder: str = ""
) -> tuple[ContextCurve, DilationStructure]:
    """Train networks of several receptive fields; return their scores and a structure that suffices.

    Finished trainings are skipped on resume, and an unfinished one goes on.

    Raises:
        InputError: Data or settings are wrong.
        OperationalError: The loss diverged.
    """
    for name in ("points", "repeats"):
        if getattr(task, name) < 2:
            raise InputError(f"`{name}` must be >= 2, but is {getattr(task, name)} instead.")
    task.recipe.validate()
    task.backbone.validate()
    dataset = context.data.open(task.data)
    task = replace(task, data=dataset.config)  # with the facts of the data set
    partitions = dataset.partitions(Selection.BEST)
    with context.stage(RunKind.CONTEXT, "context", task.settings(), folder) as stage:
        describe_data(stage.folder, dataset, partitions, resume=stage.resume)
        structures = structures_of(task, dataset.longest(partitions.train))
        scores: list[list[Mapping[str, float]]] = []
        for structure in structures:
            scores.append([])
            for repeat in range(task.repeats):
                number = (len(scores) - 1) * task.repeats + repeat + 1
                stage.progress.stage(f"training {number} of {len(structures) * task.repeats}", None)
                scores[-1].append(_train(stage, task, structure, repeat))
        fps = dataset.fps
        curve = curve_of(
            [task.backbone.topology.receptive_field(structure).frames for structure in structures],
            scores,
            None if fps is None else dataset.sample_rate / fps,
            causal=task.backbone.causal,
        )
        suggested = suggest(task.backbone, curve.points[curve.needed].frames)
        if stage.result is None:
            provenance = {"search": "context", "seed": task.seed, **dataset.provenance}
            write_curve(stage, curve, suggested, task.backbone, provenance)
    return curve, suggested


def structures_of(task: ContextTask, longest: int) -> list[DilationStructure]:
    """Return structures of one shape, with rates up to caps that are evenly spread in logarithm.

    The largest receptive field lets a frame see at least half of the longest video to each side, and no more
    than all of it.
    """
    layers = min(max(int(math.log2(max(longest, 2))) - 1, SMALLEST), DEEPEST)
    whole = task.backbone.hand_designed((layers,) * STAGES)
    exponents = sorted({round(number) for number in np.linspace(0, layers - 1, task.points)})
    return [
        DilationStructure(tuple(tuple(min(rate, 2**cap) for rate in stage) for stage in whole.stages))
        for cap in exponents
    ]


def curve_of(
    frames: Sequence[int],
    scores: Sequence[Sequence[Mapping[str, float]]],
    seconds_per_frame: float | None,
    unchanged: Sequence[float] | None = None,
    *,
    causal: bool = False,
) -> ContextCurve:
    """Return the curve of scores.

    The noise is what is left of F1 after the mean of each receptive field and of each repeat is taken out:
    all receptive fields of a repeat share hold-out and seed, or the video. Receptive fields that are shown to
    be worse say nothing of it, as bad networks differ more from one training to the next.

    Args:
        frames: Of each receptive field, ascending.
        scores: Metrics of each receptive field and repeat, or video.
        seconds_per_frame: See `ContextCurve`.
        unchanged: See `ContextPoint`.
        causal: See `ContextCurve`.
    """
    f1 = np.array([[metric_value(one, "f1") for one in repeats] for repeats in scores])  # (fields, repeats)
    means = f1.mean(1)
    error, near = _half_width(f1), means.max() - means <= _half_width(f1)
    while FEW <= near.sum() < len(near) and _half_width(f1[near]) < error:
        error = _half_width(f1[near])
        near &= means.max() - means <= error
    points = tuple(
        ContextPoint(
            frames=field,
            scores={name: float(np.mean([metric_value(one, name) for one in of])) for name in METRICS},
            loss=float(means.max() - mean),
            unchanged=same,
        )
        for field, of, mean, same in zip(
            frames, scores, means, unchanged or (None,) * len(frames), strict=True
        )
    )
    verdict = nothing_learnt(means.tolist()) if unchanged is None else None
    if unchanged is None:
        needed = int((means.max() - means > (error if error <= NOTICEABLE else 0)).argmin())
    else:
        needed = int(np.flatnonzero(means[-1] - means >= LOST).max(initial=-1)) + 1
    rises = [float(np.mean([one.get(RISE, 0.0) for one in of])) for of in scores]
    return ContextCurve(
        points=points,
        error=error,
        needed=needed if verdict is None else len(points) - 1,
        seconds_per_frame=seconds_per_frame,
        verdict=verdict,
        rising=unchanged is None and needed > 0 and 3 * rises[needed - 1] >= points[needed - 1].loss,
        causal=causal,
    )


def _half_width(f1: np.ndarray) -> float:
    """Return half the interval of a difference of two means of scores (receptive fields, repeats)."""
    left = f1 - f1.mean(1, keepdims=True) - f1.mean(0, keepdims=True) + f1.mean()
    freedom = (f1.shape[0] - 1) * (f1.shape[1] - 1)
    if not freedom:
        return 0.0
    deviation = math.sqrt(float(np.square(left).sum()) / freedom)
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * deviation * math.sqrt(2 / f1.shape[1])


def suggest(backbone: BackboneConfig, frames: int) -> DilationStructure:
    """Return the smallest hand-designed structure of n, n − 3, n − 3 layers that sees so many frames."""
    for layers in range(SMALLEST, 2 * DEEPEST):
        refiners = max(layers - 3, 2)
        structure = backbone.hand_designed((layers, refiners, refiners))
        if backbone.topology.receptive_field(structure).frames >= frames:
            break
    return structure


def _train(
    stage: RunContext, task: ContextTask, structure: DilationStructure, repeat: int
) -> dict[str, float]:
    frames = task.backbone.topology.receptive_field(structure).frames
    settings = task.settings() | {"structure": structure.as_lists(), "repeat": repeat}
    name = f"{frames} frames, repeat {repeat}"
    with stage.stage(RunKind.SEED, name, settings, f"field-{frames}/repeat-{repeat}") as run:
        if run.result is None:
            trained = _fit(run, task, structure, repeat)
            metrics = dict(trained.metrics)
            recorded = {f"holdout/{key}": value for key, value in metrics.items()}
            curve = smoothed([metric_value(epoch.metrics, "f1") for epoch in trained.history])
            metrics[RISE] = curve[-1] - curve[len(curve) * 2 // 3 - 1]
            write_result(run.folder, {"holdout": metrics, "frames": frames}, (CHECKPOINT,), metrics=recorded)
            return metrics
        return dict(run.result["holdout"])


def _fit(run: RunContext, task: ContextTask, structure: DilationStructure, repeat: int) -> TrainingResult:
    """Train under a seed and on what a hold-out leaves; no network that is reported later has this seed."""
    rotation = repeat % run.data.open(task.data).rotations
    dataset = run.data.standardized(task.data, Selection.BEST, rotation)
    partitions = dataset.partitions(Selection.BEST, rotation)
    training = Training(
        data=task.data,
        backbone=task.backbone,
        recipe=task.recipe.replace(selection=Selection.BEST),
        structure=structure,
        origin="context",
    )
    score = partial(
        evaluate_model, dataset=dataset, names=partitions.holdout, device=resolve_device(run.device)
    )
    seed = SeedPlan(task.seed).search + repeat
    _, trained = fit_network(run, training, dataset, partitions, seed=seed, evaluate=score)
    return trained


def write_curve(
    stage: RunContext,
    curve: ContextCurve,
    suggested: DilationStructure,
    backbone: BackboneConfig,
    provenance: Mapping[str, Any],
) -> None:
    """Write the suggested structure, the table, the figure and the result of a measurement."""
    write_structure(
        stage.folder / STRUCTURE,
        suggested,
        backbone=backbone.name,
        causal=backbone.causal,
        provenance=provenance,
    )
    columns: dict[str, list[Any]] = {
        "frames": [point.frames for point in curve.points],
        "seconds": [
            None if curve.seconds_per_frame is None else point.frames * curve.seconds_per_frame
            for point in curve.points
        ],
        **{name: [point.scores[name] for point in curve.points] for name in METRICS},
        "loss": [point.loss for point in curve.points],
    }
    if curve.points[0].unchanged is not None:
        columns["unchanged"] = [point.unchanged for point in curve.points]
    write_table(stage.folder, "context", columns)
    stage.draw("context", context_figure(curve))
    result = {**columns, "error": curve.error, "needed": curve.needed, "words": curve.words()}
    result["suggested"] = suggested.as_lists()
    metrics = {"context/frames": float(curve.points[curve.needed].frames), "context/error": curve.error}
    write_result(stage.folder, result, (STRUCTURE,), metrics=metrics)


def context_figure(curve: ContextCurve) -> Figure:
    """Return F1, edit and accuracy against receptive field."""
    return context_curve(
        [point.frames for point in curve.points],
        {name: [point.scores[name] for point in curve.points] for name in METRICS},
        error=curve.error / math.sqrt(2),  # half the interval of a difference is that of a mean, times √2
        needed=curve.needed,
        seconds_per_frame=curve.seconds_per_frame,
    )
