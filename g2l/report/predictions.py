"""Predictions below ground truth on one time axis, and the scores of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from g2l.figures.strips import GROUND_TRUTH, Video, strips
from g2l.metrics.scores import MEAN_F1
from g2l.metrics.segments import LabelArray
from g2l.report.blocks import Block, Heading, Matrix, Picture, Section, Table, of_each
from g2l.report.facts import PredictionFacts, RunFacts, VideoFacts
from g2l.report.words import METRICS, NAMES, count, metric, points, scores

_SHOWN_WITHOUT_TRUTH = 3


def predictions(runs: Sequence[RunFacts]) -> Section:
    """Return the section: the best, the median and the worst video, and the scores of all.

    Runs that predicted the same videos share a figure, each with a strip of its own.
    """
    groups: dict[object, list[RunFacts]] = {}
    for run in runs:
        if run.predictions is not None and run.predictions.videos:
            groups.setdefault(_videos(run.predictions), []).append(run)
    blocks: list[Block] = []
    for number, group in enumerate(groups.values()):
        blocks += [Heading(", ".join(run.label for run in group))] if len(groups) > 1 else []
        blocks.append(_strips(group, f"strips-{number}"))
        blocks += [_all_videos(run, several=len(group) > 1) for run in group if _found(run).metrics]
    return Section("strips", "Predictions and ground truth", tuple(blocks))


def _found(run: RunFacts) -> PredictionFacts:
    assert run.predictions is not None
    return run.predictions


def _videos(found: PredictionFacts) -> object:
    """Return the classes and the videos with their truth; without truth, with their length."""
    return found.classes, tuple((one.name, one.truth or one.prediction[-1][1]) for one in found.videos)


def chosen(videos: Sequence[VideoFacts]) -> list[tuple[str, VideoFacts]]:
    """Return the best, the median and the worst video by mean F1, each once; without scores the first."""
    scored = [(value, video) for video in videos if (value := metric(video.metrics, MEAN_F1)) is not None]
    if not scored:
        return [("", video) for video in videos[:_SHOWN_WITHOUT_TRUTH]]
    ordered = [video for _, video in sorted(scored, key=lambda pair: (-pair[0], pair[1].name))]
    places = {"best": 0, "median": (len(ordered) - 1) // 2, "worst": len(ordered) - 1}
    found: dict[str, VideoFacts] = {}
    for what, place in places.items():
        if ordered[place] not in found.values():
            found[what] = ordered[place]
    return list(found.items())


def _strips(runs: Sequence[RunFacts], key: str) -> Picture:
    """Return the videos that are the best, the median and the worst of the first run."""
    first = _found(runs[0])
    shown = chosen(first.videos)
    methods = ["prediction"] if len(runs) == 1 else [run.label for run in runs]
    known = [{video.name: video for video in _found(run).videos} for run in runs]
    videos = [
        Video(_title(what, video), _rows(video, dict(zip(methods, known, strict=True))))
        for what, video in shown
    ]
    above = "Ground truth, below it the prediction" if shown[0][1].truth is not None else "Predictions"
    return Picture(
        key=key,
        caption=f"{above}; numbers are those of the classes in the legend",
        alternative="; ".join(video.title for video in videos) + ".",
        draw=partial(strips, videos, first.classes, first.background, runs[0].fps),
    )


def _rows(video: VideoFacts, methods: Mapping[str, Mapping[str, VideoFacts]]) -> dict[str, LabelArray]:
    truth = {} if video.truth is None else {GROUND_TRUTH: _labels(video.truth)}
    return truth | {name: _labels(videos[video.name].prediction) for name, videos in methods.items()}


def _labels(row: Sequence[tuple[int, int]]) -> LabelArray:
    """Return the class index of every frame, (T,)."""
    labels, ends = zip(*row, strict=True)
    return np.repeat(labels, np.diff([0, *ends]))


def _title(what: str, video: VideoFacts) -> str:
    if not what:
        return f"{video.name}: {count(video.prediction[-1][1])} frames"
    mean, accuracy = metric(video.metrics, MEAN_F1), metric(video.metrics, "accuracy")
    return f"{video.name} ({what}): mean F1 {points(mean)}, accuracy {points(accuracy)}"


def _all_videos(run: RunFacts, *, several: bool) -> Table:
    found = _found(run)
    ordered = sorted(found.videos, key=lambda video: (metric(video.metrics, MEAN_F1) or 0.0, video.name))
    whose = f" of {run.label}" if several else ""
    return Table(
        caption=f"All {len(ordered)} videos{whose} in percent, the worst first",
        columns=("video", *(NAMES[name] for name in METRICS), "frames"),
        rows=tuple((video.name, *scores(video.metrics), count(video.prediction[-1][1])) for video in ordered),
        folded=True,
    )


def classes(runs: Sequence[RunFacts]) -> Section:
    """Return the section: the scores of each class, and which classes are confused."""

    def build(_: int, run: RunFacts) -> list[Block]:
        found = run.predictions
        return [] if found is None or not found.per_class else [_class_table(found), _matrix(found)]

    return Section("classes", "Classes", of_each(runs, build))


def _class_table(found: PredictionFacts) -> Table:
    predicted = {
        name for number, name in enumerate(found.classes) if any(row[number] for row in found.confusion)
    }
    return Table(
        caption="Frame by frame, in percent; most frequent class first",
        columns=("class", "precision", "recall", "F1 score", "frames"),
        rows=tuple(
            (
                name + (" (background)" if name in found.background else ""),
                points(row.precision),
                points(row.recall),
                points(row.f1),
                count(row.support),
            )
            for name, row in sorted(found.per_class.items(), key=lambda item: -item[1].support)
            if row.support or name in predicted
        ),
    )


def _matrix(found: PredictionFacts) -> Matrix:
    """Return the confusion matrix of the classes that occur."""
    frames = found.confusion
    shown = [
        number for number, row in enumerate(frames) if any(row) or any(other[number] for other in frames)
    ]
    return Matrix(
        caption="Confusion matrix: percent of the frames of each true class (row) by prediction (column)",
        names=tuple(found.classes[number] for number in shown),
        numbers=tuple(shown),
        frames=tuple(tuple(frames[row][column] for column in shown) for row in shown),
    )
