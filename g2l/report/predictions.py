"""Predictions below ground truth on one time axis, and the scores of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from g2l.figures.strips import GROUND_TRUTH, Video, strips
from g2l.metrics.scores import MEAN_F1
from g2l.metrics.segments import LabelArray
from g2l.report.blocks import Block, Matrix, Picture, Table, Text, of_each
from g2l.report.facts import PredictionFacts, RunFacts, VideoFacts
from g2l.report.words import METRICS, NAMES, count, metric, points, scores

_SHOWN_WITHOUT_TRUTH = 3


def predictions(runs: Sequence[RunFacts]) -> list[Block]:
    """Return the best, the median and the worst video, and the scores of all.

    Runs that predicted the same videos share a figure, each with a strip of its own.
    """
    groups: dict[object, list[tuple[RunFacts, PredictionFacts]]] = {}
    for run in runs:
        if run.predictions is not None and run.predictions.videos:
            # Without truth the same videos are those of one name and length.
            videos = [
                (name, one.truth or one.prediction[-1][1]) for name, one in run.predictions.videos.items()
            ]
            groups.setdefault((run.predictions.classes, tuple(videos)), []).append((run, run.predictions))
    blocks: list[Block] = []
    for number, group in enumerate(groups.values()):
        if len(groups) > 1:
            blocks.append(Text(", ".join(run.label for run, _ in group), "heading"))
        blocks.append(_strips(group, f"strips-{number}"))
        for run, found in group:
            if found.metrics:
                blocks.append(_all_videos(found, f" of {run.label}" if len(group) > 1 else ""))
    return blocks


def _frames(video: VideoFacts) -> str:
    return count(video.prediction[-1][1])


def chosen(videos: Mapping[str, VideoFacts]) -> dict[str, str]:
    """Return by name of a video why it is shown: the best, median and worst by mean F1; else the first."""
    known = {name: metric(video.metrics, MEAN_F1) for name, video in videos.items()}
    ordered = sorted(
        (name for name, value in known.items() if value is not None),
        key=lambda name: (-(known[name] or 0.0), name),
    )
    if not ordered:
        return dict.fromkeys(list(videos)[:_SHOWN_WITHOUT_TRUTH], "")
    found = {ordered[0]: "best"}
    found.setdefault(ordered[(len(ordered) - 1) // 2], "median")
    found.setdefault(ordered[-1], "worst")
    return found


def _strips(group: Sequence[tuple[RunFacts, PredictionFacts]], key: str) -> Picture:
    run, first = group[0]
    methods = {"prediction" if len(group) == 1 else one.label: found.videos for one, found in group}
    videos = []
    for name, what in chosen(first.videos).items():
        video = first.videos[name]
        mean, accuracy = (points(metric(video.metrics, one)) for one in (MEAN_F1, "accuracy"))
        title = f"{name} ({what}): mean F1 {mean}, accuracy {accuracy}"
        rows = {} if video.truth is None else {GROUND_TRUTH: _labels(video.truth)}
        rows |= {method: _labels(found[name].prediction) for method, found in methods.items()}
        videos.append(Video(title if what else f"{name}: {_frames(video)} frames", rows))
    above = "Ground truth, below it the prediction" if GROUND_TRUTH in videos[0].rows else "Predictions"
    return Picture(
        key=key,
        caption=f"{above}; numbers are those of the classes in the legend",
        alternative="; ".join(video.title for video in videos) + ".",
        draw=partial(strips, videos, first.classes, first.background, run.fps),
    )


def _labels(row: Sequence[Sequence[int]]) -> LabelArray:
    """Return the class index of every frame, (T,)."""
    labels, ends = zip(*row, strict=True)
    return np.repeat(labels, np.diff([0, *ends]))


def _all_videos(found: PredictionFacts, whose: str) -> Table:
    ordered = sorted(found.videos.items(), key=lambda one: (metric(one[1].metrics, MEAN_F1) or 0.0, one[0]))
    return Table(
        caption=f"All {len(ordered)} videos{whose} in percent, the worst first",
        columns=("video", *(NAMES[name] for name in METRICS), "frames"),
        rows=[(name, *scores(video.metrics), _frames(video)) for name, video in ordered],
        folded=True,
    )


@of_each
def classes(_: int, run: RunFacts) -> list[Block]:
    """Return the scores of each class, and which classes are confused."""
    found = run.predictions
    if found is None or not found.per_class:
        return []
    frames = np.array(found.confusion, dtype=object)
    shown = [place for place in range(len(frames)) if frames[place].any() or frames[:, place].any()]
    occurring = {found.classes[place] for place in shown}
    table = Table(
        caption="Frame by frame, in percent; most frequent class first",
        columns=("class", "precision", "recall", "F1 score", "frames"),
        rows=[
            (
                name + (" (background)" if name in found.background else ""),
                *map(points, (row.precision, row.recall, row.f1)),
                count(row.support),
            )
            for name, row in sorted(found.per_class.items(), key=lambda item: -item[1].support)
            if row.support or name in occurring
        ],
    )
    matrix = Matrix(
        caption="Confusion matrix: percent of the frames of each true class (row) by prediction (column)",
        names=[found.classes[place] for place in shown],
        numbers=shown,
        frames=frames[np.ix_(shown, shown)].tolist(),
    )
    return [table, matrix]
