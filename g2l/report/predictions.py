"""Predictions over ground truth on one time axis, and the scores of each class."""

from __future__ import annotations

import math
from collections.abc import Sequence

from g2l.metrics.scores import MEAN_F1
from g2l.palette import Style, styles
from g2l.report.blocks import Bar, Block, Key, Matrix, Section, Strip, Strips, Table, of_each
from g2l.report.facts import PredictionFacts, RunFacts, VideoFacts
from g2l.report.words import METRICS, NAMES, count, metric, points, scores

MOST_BARS = 3000
"""Segments of a strip that are drawn; what is shorter then is less than a pixel wide at the largest zoom."""
_TICKS = (8, 32, 128)
"""Ticks of the axis at least, of each level of zoom."""
_SHOWN_WITHOUT_TRUTH = 3


def strips(runs: Sequence[RunFacts]) -> Section:
    """Return the section: the best, the median and the worst video of each run."""

    def build(number: int, run: RunFacts) -> list[Block]:
        found = run.predictions
        if found is None or not found.videos:
            return []
        shown = _strips(found, run.fps, f"strips-{number}")
        return [shown, _all_videos(found)] if found.metrics else [shown]

    nothing = "Nothing was predicted in this run."
    return Section("strips", "Predictions over ground truth", of_each(runs, build, nothing))


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


def _strips(found: PredictionFacts, fps: float | None, key: str) -> Strips:
    shown = chosen(found.videos)
    longest = max(row[-1][1] for _, video in shown for row in _rows(video).values())
    labels = sorted({label for _, video in shown for row in _rows(video).values() for label, _ in row})
    keys = _keys(found.classes, found.background)
    return Strips(
        caption="Prediction above ground truth; numbers are those of the classes in the legend",
        key=key,
        unit="frames" if fps is None else "seconds",
        ticks=_axis(longest / (fps or 1.0)),
        strips=tuple(
            Strip(
                name=video.name,
                note=_note(what, video),
                rows=tuple(
                    (name, _bars(row, longest, found.classes, fps)) for name, row in _rows(video).items()
                ),
            )
            for what, video in shown
        ),
        keys=tuple(keys[label] for label in labels),
    )


def _rows(video: VideoFacts) -> dict[str, tuple[tuple[int, int], ...]]:
    rows = {"prediction": video.prediction}
    return rows if video.truth is None else rows | {"truth": video.truth}


def _note(what: str, video: VideoFacts) -> str:
    if not what:
        return f"{count(video.prediction[-1][1])} frames"
    mean, accuracy = metric(video.metrics, MEAN_F1), metric(video.metrics, "accuracy")
    return f"{what}: mean F1 {points(mean)}, accuracy {points(accuracy)}"


def _bars(
    row: Sequence[tuple[int, int]], longest: int, classes: Sequence[str], fps: float | None
) -> tuple[Bar, ...]:
    """Return the segments of a strip; of too many the shortest are joined with the one before."""
    starts = [0, *(end for _, end in row[:-1])]
    spans = [(label, start, end) for (label, end), start in zip(row, starts, strict=True)]
    if len(spans) > MOST_BARS:
        shortest = sorted(end - start for _, start, end in spans)[-MOST_BARS]
        spans = _joined(spans, shortest)
    return tuple(
        Bar(
            start=100 * start / longest,
            width=100 * (end - start) / longest,
            label=label,
            title=f"{classes[label]}: {_time(start, fps)} to {_time(end, fps)}",
        )
        for label, start, end in spans
    )


def _joined(spans: Sequence[tuple[int, int, int]], shortest: int) -> list[tuple[int, int, int]]:
    kept: list[tuple[int, int, int]] = []
    for label, start, end in spans:
        if kept and end - start <= shortest:
            kept[-1] = (kept[-1][0], kept[-1][1], end)
        else:
            kept.append((label, start, end))
    return kept


def _time(frame: int, fps: float | None) -> str:
    return f"frame {frame:,}" if fps is None else f"{frame / fps:,.2f} s"


def _keys(classes: Sequence[str], background: Sequence[str]) -> list[Key]:
    """Return how each class is drawn: as in the pictures of `g2l predict --plots`."""
    drawn: list[Style] = styles(classes, background)
    return [
        Key(number, name, style.color, style.pattern)
        for number, (name, style) in enumerate(zip(classes, drawn, strict=True))
    ]


def _axis(length: float) -> tuple[tuple[float, str, int], ...]:
    """Return ticks at round numbers, those of a finer level where no coarser one is."""
    ticks: dict[float, tuple[float, str, int]] = {}
    for level, least in enumerate(_TICKS):
        step = _round_step(length / least)
        for number in range(math.floor(length / step) + 1):
            value = round(number * step, 6)
            ticks.setdefault(value, (100 * value / length, f"{value:,.6g}", level))
    return tuple(ticks[value] for value in sorted(ticks))


def _round_step(step: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return power * max(factor for factor in (1, 2, 5) if factor * power <= step * (1 + 1e-9))


def _all_videos(found: PredictionFacts) -> Table:
    ordered = sorted(found.videos, key=lambda video: (metric(video.metrics, MEAN_F1) or 0.0, video.name))
    return Table(
        caption=f"All {len(ordered)} videos in percent, the worst first",
        columns=("video", *(NAMES[name] for name in METRICS), "frames"),
        rows=tuple((video.name, *scores(video.metrics), count(video.prediction[-1][1])) for video in ordered),
        folded=True,
    )


def classes(runs: Sequence[RunFacts]) -> Section:
    """Return the section, a sentence where no prediction was scored."""

    def build(_: int, run: RunFacts) -> list[Block]:
        found = run.predictions
        return [] if found is None or not found.per_class else [_class_table(found), _matrix(found)]

    predicted = any(run.predictions is not None for run in runs)
    reason = "no ground truth was given." if predicted else "nothing was predicted in this run."
    return Section("classes", "Classes", of_each(runs, build, f"No scores of classes: {reason}"))


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
