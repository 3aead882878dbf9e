"""Figures of results: scores against cost, context and epochs, and receptive fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from g2l.figures.style import BLUE, COLUMN, GREY, INK, ORANGE, PAGE, canvas, legend_below, styled
from g2l.metrics.length import best_length, smoothed, still_rising

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINES = ("-", "--", "-.", ":")
_SHADES = ("#0072B2", "#56B4E9", "#9FD3F2", "#CFE9F8")
"""Of the stages of a network, first stage first."""


@dataclass(frozen=True)
class Costed:
    """A structure with its score and its interval, in points, and its cost in multiply-adds per frame."""

    name: str
    multiply_adds: float
    score: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class HoldoutCurve:
    """Score after each epoch in percent: the mean over trainings, smoothed; `best` is an epoch, from 1."""

    scores: tuple[float, ...]
    best: int
    rising: bool

    @classmethod
    def of(cls, curves: Sequence[Sequence[float]]) -> HoldoutCurve:
        """Return the curve of trainings, as far as all of them have come."""
        length = min(map(len, curves))
        cut = [curve[:length] for curve in curves]
        scores = smoothed([sum(values) / len(values) for values in zip(*cut, strict=True)])
        return cls(tuple(scores), best_length(cut), still_rising(scores))

    @property
    def words(self) -> str:
        """Where the best score is, in words."""
        found = f"best at epoch {self.best} of {len(self.scores)} ({self.scores[self.best - 1]:.1f})"
        return f"{found}, still rising at the end" if self.rising else found


@styled
def front(points: Sequence[Costed], best: Sequence[str], shipped: str, name: str) -> Figure:
    """Return scores against cost with their intervals.

    Args:
        points: The hand-designed structure first, which the scores are differences from.
        best: Names of those than which none is cheaper and better.
        shipped: Name of the one that was chosen.
        name: Of the score.
    """
    figure, ((axes,),) = canvas(PAGE, 2.8)
    most = _costs(axes, points)
    line = sorted((one.multiply_adds / 1e6, one.score) for one in points if one.name in best)
    axes.plot(*zip(*line, strict=True), color=GREY, linewidth=0.8, label="front: none is cheaper and better")
    for one in points:
        look = {"color": BLUE, "marker": "o", "markersize": 4}
        if one is points[0]:
            look = {"color": INK, "marker": "s", "markersize": 4}
        if one.name == shipped:
            look |= {"color": ORANGE, "marker": "*", "markersize": 9, "label": "chosen"}
        _point(axes, one, look)
        _name(axes, one, most)
    axes.axhline(points[0].score, color=INK, linestyle=":", linewidth=0.8)
    axes.set_ylabel(f"hold-out {name}, difference\nfrom hand-designed (points)")
    legend_below(figure)
    return figure


@styled
def arrow(start: Costed, end: Costed, name: str, seeds: Sequence[Costed] = ()) -> Figure:
    """Return the way from the hand-designed to the shipped structure: score `name` against cost.

    The interval of `end` is that of the difference; `seeds` are single trainings, as small marks.
    """
    figure, ((axes,),) = canvas(COLUMN, 2.3)
    for one in seeds:
        axes.plot(one.multiply_adds / 1e6, one.score, "o", color=GREY, markersize=2.5, zorder=1)
    axes.annotate(
        "",
        (end.multiply_adds / 1e6, end.score),
        (start.multiply_adds / 1e6, start.score),
        arrowprops={"arrowstyle": "-|>", "color": ORANGE, "linewidth": 1.6, "shrinkA": 5, "shrinkB": 5},
    )
    _point(axes, start, {"color": INK, "marker": "s", "markersize": 5})
    _point(axes, end, {"color": ORANGE, "marker": "o", "markersize": 5})
    most = _costs(axes, [start, end])
    _name(axes, start, most)
    _name(axes, end, most, below=end.score < start.score)
    axes.margins(y=0.25)
    axes.set_ylabel(f"test {name} (%)")
    return figure


def _point(axes: Any, one: Costed, look: Mapping[str, Any]) -> None:
    bars = None
    if one.low is not None and one.high is not None:
        bars = [[max(0.0, one.score - one.low)], [max(0.0, one.high - one.score)]]
    axes.errorbar(
        one.multiply_adds / 1e6, one.score, yerr=bars, linestyle="", linewidth=0.8, zorder=3, **look
    )


def _name(axes: Any, one: Costed, most: float, *, below: bool = False) -> None:
    """Write the name of a structure beside it, to the left of the most costly ones."""
    left = one.multiply_adds > 0.6 * most
    axes.annotate(
        one.name,
        (one.multiply_adds / 1e6, one.score),
        xytext=(-5 if left else 5, -10 if below else 4),
        textcoords="offset points",
        ha="right" if left else "left",
        fontsize=7,
        zorder=4,
    )


def _costs(axes: Any, points: Sequence[Costed]) -> float:
    """Begin the axis of costs at 0, so that a length is a cost; return the largest."""
    most = max(one.multiply_adds for one in points)
    axes.set_xlim(0, 1.08 * most / 1e6)
    axes.set_xlabel("multiply-adds per frame (millions)")
    return most


@styled
def holdout_curves(curves: Mapping[str, HoldoutCurve], name: str) -> Figure:
    """Return scores over epochs by name of the structure, with the best length of each marked."""
    figure, ((axes,),) = canvas(PAGE, 2.8)
    for (title, curve), line in zip(curves.items(), cycle(_LINES)):
        label = f"{title}: best at {curve.best}" + (", still rising" if curve.rising else "")
        (drawn,) = axes.plot(range(1, len(curve.scores) + 1), curve.scores, line, label=label)
        look = {"color": drawn.get_color(), "markeredgecolor": INK, "markeredgewidth": 0.6, "zorder": 3}
        mark = "^" if curve.rising else "o"
        axes.plot(curve.best, curve.scores[curve.best - 1], mark, markersize=5, **look)
    axes.set_xlabel("epoch (marked: best length; triangle: still rising)")
    axes.set_ylabel(f"hold-out {name} (%)")
    legend_below(figure)
    return figure


@styled
def context_curve(
    frames: Sequence[float],
    scores: Mapping[str, Sequence[float]],
    *,
    error: float,
    needed: int,
    seconds_per_frame: float | None,
) -> Figure:
    """Return scores in percent against receptive fields, with the 90 % interval (± `error`) of the first.

    `needed` is the place of the smallest receptive field that suffices.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    figure, ((axes,),) = canvas(COLUMN, 2.6)
    fields = [one * (seconds_per_frame or 1) for one in frames]
    for number, ((name, values), mark) in enumerate(zip(scores.items(), cycle(("o-", "s--", "^:")))):
        label = name if number else f"{name} (90 % interval)"
        axes.errorbar(fields, values, yerr=None if number else error, fmt=mark, label=label)
    axes.axvline(fields[needed], color=GREY, linewidth=0.8, label="suffices")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(fields))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.3g}" if seconds_per_frame else f"{value:,.0f}")
    )
    axes.tick_params(axis="x", rotation=30)
    axes.set_xlabel(f"receptive field ({'frames' if seconds_per_frame is None else 's'})")
    axes.set_ylabel("hold-out score (%)")
    legend_below(figure, 2)
    return figure


@styled
def receptive_fields(
    fields: Mapping[str, Sequence[tuple[int, int]]], seconds_per_frame: float | None
) -> Figure:
    """Return what the label of a frame depends on, a bar for each structure, shaded by stage.

    `fields` holds the frames before and after the labelled one, up to and including each stage.
    """
    from matplotlib.patches import Patch

    unit = seconds_per_frame or 1
    figure, ((axes,),) = canvas(PAGE, 0.9 + 0.3 * len(fields))
    stages = max(map(len, fields.values()))
    for row, seen in enumerate(fields.values()):
        for stage, (past, future) in reversed(list(enumerate(seen))):
            shade = _SHADES[min(stage, len(_SHADES) - 1)]
            axes.barh(row, (past + future) * unit, 0.6, left=-past * unit, color=shade, linewidth=0)
    axes.use_sticky_edges = False
    axes.margins(x=0.02)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(fields)), list(fields))
    axes.set_ylim(len(fields) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    word = "frames" if seconds_per_frame is None else "seconds"
    axes.set_xlabel(f"{word} before (−) and after (+) the labelled frame")
    shades = [Patch(facecolor=_SHADES[min(stage, len(_SHADES) - 1)]) for stage in range(stages)]
    names = ["stage 1", *(f"up to stage {stage + 1}" for stage in range(1, stages))]
    figure.legend(shades, names, loc="outside lower center", ncols=min(stages, 6))
    return figure
