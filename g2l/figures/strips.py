"""Labels of videos as coloured strips: the ground truth, below it the methods."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from g2l.figures.style import PAGE, ClassStyle, canvas, class_styles, legend_columns, styled
from g2l.metrics.segments import LabelArray, segments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUND_TRUTH = "ground truth"
_ROW, _TITLE, _LINE = 0.24, 0.2, 0.17
"""Inches: height of a strip, of the name of a video, of a line of the legend."""
_PARTS = 2000
"""Parts that a video is drawn in at most: what is shorter could not be seen."""
_HATCHED, _NUMBERED = 0.004, 0.03
"""Shares of the axis that a segment must fill to get its hatch, which would cover the colour of a shorter
one, and to have the number of its class written on it."""
_LONGEST = 36
"""Characters of a class name that the legend shows."""


@dataclass(frozen=True)
class Video:
    """A video with its labels by what they are: `ground truth` first, then methods; class indices, (T,)."""

    title: str
    rows: Mapping[str, LabelArray]


@styled
def strips(
    videos: Sequence[Video],
    classes: Sequence[str],
    background: Collection[str] = (),
    fps: float | None = None,
) -> Figure:
    """Return videos below each other, on one axis of time, with one legend.

    A class looks the same in every figure, and has the number that the legend gives it: its index. Time and
    memory do not grow with the length of a video beyond one pass over it. The axis is in seconds where `fps`
    is known.
    """
    from matplotlib.patches import Patch

    looks = class_styles(classes, background)
    everything = [labels for video in videos for labels in video.rows.values()]
    longest = max(map(len, everything)) / (fps or 1.0)
    shown = sorted({int(label) for labels in everything for label in np.unique(labels)})
    names = [f"{label}  {_shortened(classes[label])}" for label in shown]
    columns = legend_columns(names, PAGE)
    lines = -(-len(shown) // columns)
    rows = [len(video.rows) for video in videos]
    height = 0.5 + sum(rows) * _ROW + len(rows) * _TITLE + lines * _LINE
    figure, grid = canvas(PAGE, height, len(rows), sharex=True, height_ratios=rows)
    for video, (axes,) in zip(videos, grid, strict=True):
        for row, labels in enumerate(video.rows.values()):
            _draw(axes, row, labels, looks, len(labels) / (fps or 1.0), longest)
        axes.set_yticks(range(len(video.rows)), list(video.rows))
        axes.set_ylim(len(video.rows) - 0.5, -0.5)
        axes.set_xlim(0, longest)
        axes.set_title(video.title, loc="left", pad=3)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", length=0 if axes is not grid[-1][0] else 3)
    grid[-1][0].set_xlabel("frames" if fps is None else "seconds")
    patches = [Patch(**_hatched(looks[label])) for label in shown]
    figure.legend(patches, names, loc="outside lower center", ncols=columns)
    return figure


def _parts(labels: LabelArray) -> LabelArray:
    """Return the most frequent label of each of at most `_PARTS` equal parts of a video."""
    if len(labels) <= _PARTS:
        return labels
    num_classes = int(labels.max()) + 1
    parts = np.arange(len(labels)) * _PARTS // len(labels)
    counts = np.bincount(parts * num_classes + labels, minlength=_PARTS * num_classes)
    found: LabelArray = counts.reshape(_PARTS, num_classes).argmax(axis=1)
    return found


def _draw(
    axes: Any, row: int, labels: LabelArray, looks: Sequence[ClassStyle], length: float, longest: float
) -> None:
    """Draw one strip: a collection of bars per class, and the number of the class where there is room."""
    drawn = _parts(labels)
    found = segments(drawn)
    starts = found.starts * length / len(drawn)
    lengths = (found.ends - found.starts) * length / len(drawn)
    hatched = lengths >= _HATCHED * longest
    for label in np.unique(found.labels).tolist():
        plain = {"facecolor": looks[label].color, "linewidth": 0}
        for chosen, look in ((~hatched, plain), (hatched, _hatched(looks[label]))):
            spans = np.stack([starts, lengths], axis=1)[chosen & (found.labels == label)].tolist()
            if spans:
                axes.broken_barh(spans, (row - 0.46, 0.92), **look)
    wide = lengths >= _NUMBERED * longest
    box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    number = {"ha": "center", "va": "center", "fontsize": 7, "color": "black", "bbox": box, "clip_on": True}
    for label, start, width in zip(found.labels[wide], starts[wide], lengths[wide], strict=True):
        axes.text(start + width / 2, row, str(label), **number)


def _hatched(style: ClassStyle) -> dict[str, Any]:
    return {"facecolor": style.color, "hatch": style.hatch, "edgecolor": "black", "linewidth": 0.2}


def _shortened(name: str) -> str:
    """Return a name that is not too long, without its middle: names of a kind begin and end alike."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST // 2]}…{name[-_LONGEST // 2 + 1 :]}"
