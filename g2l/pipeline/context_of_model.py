"""How much context a trained model uses: its labels where frames beyond ± R are hidden (effective field).

Around each block of frames, all frames but those within ± R are replaced by the mean frame of the video. So
the receptive field is that of what the network has learnt, not that of its layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from g2l.config import DataConfig, Normalization, Selection
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.features import Features
from g2l.datasets.labels import Labels
from g2l.errors import InputError
from g2l.inference.loading import prepare
from g2l.inference.sessions import Session
from g2l.metrics.scores import SegmentationMetrics
from g2l.pipeline.context import RunContext
from g2l.pipeline.context_curve import ContextCurve, curve_of, suggest, write_curve
from g2l.pipeline.data import describe_data
from g2l.records import RunKind
from g2l.structure import DilationStructure

BLOCKS = 64
"""Of the longest video. A block sees R frames beyond its ends, so its length limits the resolution."""


@dataclass(frozen=True, kw_only=True)
class ModelContextTask:
    """A measurement of the context that a model uses.

    Attributes:
        data: Data set and split whose hold-out is labelled; how it is read is up to the model.
        points: Radii R, at least two.
    """

    data: DataConfig
    points: int = 12


def measure_model_context(
    context: RunContext, session: Session, task: ModelContextTask, *, folder: str = ""
) -> tuple[ContextCurve, DilationStructure]:
    """Label the hold-out with less and less context; return scores and a structure that suffices.

    Raises:
        InputError: Data or settings are wrong, or the model is of other classes or features.
        OperationalError: The runtime failed.
    """
    if task.points < 2:
        raise InputError(f"`points` must be >= 2, but is {task.points} instead.")
    metadata = session.metadata
    read = task.data.replace(sample_rate=metadata.sample_rate, normalize=Normalization.NONE)
    dataset = context.data.open(read)
    for name, ours, theirs in (
        ("classes", tuple(dataset.mapping.names), metadata.classes),
        ("feature_dim", dataset.feature_dim, metadata.feature_dim),
    ):
        if ours != theirs:
            raise InputError(f"the model was trained on {name} {theirs}, but those of the data are {ours}.")
    partitions = dataset.partitions(Selection.BEST)
    settings = {"data": dataset.config.as_dict(), "model": session.fingerprint, "points": task.points}
    with context.stage(RunKind.CONTEXT, "context of a model", settings, folder) as stage:
        describe_data(stage.folder, dataset, partitions, resume=stage.resume)
        curve = _measure(stage, session, dataset, partitions.holdout, task.points)
        suggested = suggest(metadata.backbone, curve.points[curve.needed].frames)
        if stage.result is None:
            provenance = {"search": "context", "model": session.fingerprint, **dataset.provenance}
            write_curve(stage, curve, suggested, metadata.backbone, provenance)
    return curve, suggested


def _measure(
    stage: RunContext, session: Session, dataset: SegmentationDataset, names: tuple[str, ...], points: int
) -> ContextCurve:
    longest = dataset.longest(names)
    block = -(-longest // BLOCKS)
    field = session.metadata.receptive_field
    reach = longest if session.metadata.backbone.topology.whole_video else max(field.past, field.future)
    widest = max(1, min(reach, longest - 1))
    radii = sorted({0, widest, *np.geomspace(1, widest, points - 1).round().astype(int).tolist()})
    scores: list[list[dict[str, float]]] = [[] for _ in radii]
    same = np.zeros(len(radii))
    with stage.progress.task("context", len(names) * len(radii)) as bar:
        for name in names:
            features = prepare(dataset.load(name).features, session.metadata)
            whole = session.probabilities(features).argmax(axis=0)
            for number, radius in enumerate(radii):
                labels = whole if radius == widest else labels_within(session, features, radius, block)
                same[number] += (labels == whole).sum()
                metrics = SegmentationMetrics(background=dataset.background_indices)
                truth = dataset.ground_truth(name)
                metrics.update(np.repeat(labels, dataset.sample_rate)[: len(truth)], truth)
                scores[number].append(metrics.compute())
                bar.advance()
    return curve_of(
        [1 + 2 * min(radius + block - 1, widest) for radius in radii],
        scores,
        None if dataset.fps is None else dataset.sample_rate / dataset.fps,
        unchanged=(same / sum(map(dataset.num_frames, names))).tolist(),
    )


def labels_within(session: Session, features: Features, radius: int, block: int) -> Labels:
    """Return the labels (T,) of frames that see no more than `radius` + `block` − 1 frames to each side.

    Args:
        session: The model.
        features: Of a video, as the network takes them, (D, T).
        radius: Frames that every frame sees to each side.
        block: Frames that are labelled at once.
    """
    field, frames = session.metadata.receptive_field, features.shape[1]
    whole = session.metadata.backbone.topology.whole_video
    mean = features.mean(axis=1, keepdims=True)
    labels = np.empty(frames, dtype=np.int64)
    for start in range(0, frames, block):
        stop = min(frames, start + block)
        # Frames beyond the receptive field of the block change nothing in it.
        first, last = (0, frames) if whole else (max(0, start - field.past), min(frames, stop + field.future))
        low, high = max(first, start - radius), min(last, stop + radius)
        hidden = np.repeat(mean, last - first, axis=1)
        hidden[:, low - first : high - first] = features[:, low:high]
        found = session.probabilities(hidden)[:, start - first : stop - first]
        labels[start:stop] = found.argmax(axis=0)
    return labels
