"""The figures of a report, as `svg` elements of a page: its text, its colours, ids of their own.

They are made without pyplot, so that no window system is touched.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from g2l.palette import COLORS
from g2l.report.facts import LayerPath, Scored
from g2l.structure import DilationStructure, LayerTopology

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, RULE = "#010203", "#040506"
"""Stand for the page's colours of text and of thin lines, so that figures follow its dark style."""
DENSE = 800
"""Marks from which a scatter is drawn as pixels: thousands of elements make a page large and slow."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # names of runs and data sets are written as they are
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.4,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def markup(figure: Figure, key: str, title: str, description: str) -> str:
    """Return a figure as an `svg` element for a page.

    Args:
        figure: Drawn within `matplotlib.rc_context(STYLE)`.
        key: Prefix of all ids in it.
        title: What it shows.
        description: What can be seen in it.
    """
    import matplotlib

    stream = StringIO()
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": key}):
        figure.savefig(stream, format="svg", transparent=True, dpi=110)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\bid=\"([^\"]*)\"", rf'id="{key}-\1"', text)
    text = re.sub(r"url\(#([^)]*)\)", rf"url(#{key}-\1)", text)
    text = re.sub(r"xlink:href=\"#([^\"]*)\"", rf'href="#{key}-\1"', text)
    text = text.replace("xlink:href=", "href=").replace(INK, "currentColor").replace(RULE, "var(--rule)")
    box = re.search(r"viewBox=\"[\d. ]+\"", text)
    assert box is not None
    width = float(box[0].split()[2])
    opening = (
        f'<svg {box[0]} role="img" aria-labelledby="{key}-title {key}-desc" '
        f'style="max-width:{width * 1.6:.0f}px">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    )
    # Blanks are a seventh of what matplotlib writes.
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"<svg[^>]*>", lambda _: opening, text, count=1)).strip()


BLUE, ORANGE, GREEN, GREY = COLORS[4], COLORS[5], COLORS[2], COLORS[7]
_MARKS = ("o", "s", "^", "D", "v", "P", "X")


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """Return a figure in the style of the page and its axes, (rows, columns)."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **options)


def best_so_far(scores: Sequence[Scored]) -> tuple[list[int], list[float]]:
    """Return the steps spent at which a better structure was known, and the fitness of each.

    Scores under fresh seeds or with shared weights are left out: they are not comparable with those that
    select.
    """
    spent: list[int] = []
    best: list[float] = []
    for score in scores:
        if score.fitness is None or score.fresh:
            continue
        if not best or score.fitness > best[-1]:
            spent.append(score.spent)
            best.append(score.fitness)
    return spent, best


def fitness_over_budget(
    searches: Mapping[str, tuple[str, Sequence[Scored], float]], hand_designed: float | None, name: str
) -> Figure:
    """Return the fitness of all candidates over what had been spent, and the best so far as a line.

    Args:
        searches: By label: strategy, scores, optimiser steps of a full training.
        hand_designed: Fitness of the 2^l structure by the same budget and seed, or None.
        name: What the fitness is.
    """
    figure, ((axes,),) = canvas(7.2, 3.8)
    for number, (label, (strategy, scores, full)) in enumerate(searches.items()):
        random = strategy == "random"
        color = GREY if random else (BLUE, ORANGE, GREEN, COLORS[6])[number % 4]
        whose = f"{label}: " if len(searches) > 1 else ""
        _cloud(axes, scores, full, color, _MARKS[number % len(_MARKS)], whose)
        spent, best = best_so_far(scores)
        if spent:
            end = scores[-1].spent
            axes.step(
                [*(steps / full for steps in spent), end / full],
                [*best, best[-1]],
                where="post",
                color=color,
                linewidth=2,
                linestyle="--" if random else "-",
                label=f"{whose}best so far ({strategy})",
            )
    if hand_designed is not None:
        axes.axhline(hand_designed, color=INK, linestyle=":", label="hand-designed 2^l")
    axes.set_xlabel("full trainings spent")
    axes.set_ylabel(f"hold-out {name}")
    axes.set_ylim(*_limits([s.fitness for _, scores, _ in searches.values() for s in scores], hand_designed))
    legend(figure)
    return figure


def _cloud(axes: Any, scores: Sequence[Scored], full: float, color: str, mark: str, whose: str) -> None:
    known = [score for score in scores if score.fitness is not None]
    looks: dict[str, tuple[list[Scored], dict[str, Any]]] = {
        "one seed": ([s for s in known if not s.fresh], {"marker": mark, "s": 14, "alpha": 0.5}),
        "fresh seed": ([s for s in known if s.fresh], {"marker": "x", "s": 18, "alpha": 0.7}),
    }
    for what, (shown, look) in looks.items():
        if shown:
            axes.scatter(
                [score.spent / full for score in shown],
                [score.fitness for score in shown],
                color=color,
                linewidths=0 if look["marker"] != "x" else 1,
                rasterized=len(shown) > DENSE,
                label=f"{whose}candidates, {what}",
                **look,
            )


def _limits(values: Sequence[float | None], line: float | None) -> tuple[float, float]:
    """Return limits that leave out the worst twentieth, which would press all else together."""
    known = np.array([value for value in values if value is not None] + ([] if line is None else [line]))
    if not len(known):
        return 0.0, 100.0
    low, high = float(np.quantile(known, 0.05)), float(known.max())
    low = min(low, high if line is None else line)
    margin = max(1.0, 0.06 * (high - low))
    return low - margin, high + margin


_LINE, _HANDLE = 92, 8
"""Characters of a line of the legend, and those that a mark takes."""


def _legend_columns(labels: Sequence[str]) -> int:
    """Return how many columns of labels fit beside each other."""
    widest = max(map(len, labels)) + _HANDLE
    return max(1, min(3, len(labels), _LINE // widest))


def legend(figure: Figure) -> None:
    """Put one legend below all axes, each entry once."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=_legend_columns(list(entries)),
        )


_PANELS = 2
"""Panels beside each other."""
_CLOSE = 0.5
"""Octaves below which two numbers beside an axis would cover each other."""
DENSE_DOTS = 300
"""Dots of different sizes from which they are drawn as pixels: each is an element with a path of its own."""
_LOOKS = (
    {"color": GREY, "linestyle": ":", "marker": "s", "markersize": 7, "fillstyle": "none"},
    {"color": ORANGE, "linestyle": "--", "marker": "^", "markersize": 6},
    {"color": BLUE, "linestyle": "-", "marker": "o", "markersize": 5},
    {"color": GREEN, "linestyle": "-.", "marker": "D", "markersize": 4},
    {"color": COLORS[6], "linestyle": "-", "marker": "x", "markersize": 5},
)
"""The hand-designed structure comes first; distinguished by line and mark, not by colour alone."""


def rates_by_stage(structures: Mapping[str, DilationStructure], topology: LayerTopology) -> Figure:
    """Return the rate of every layer, a panel for each stage.

    Args:
        structures: By what they are called, whose stages may differ in number and length.
        topology: How the convolutions are connected.
    """
    stages = max(len(structure.stages) for structure in structures.values())
    columns = min(_PANELS, stages)
    rows = -(-stages // columns)
    figure, grid = canvas(3.6 * columns, 0.7 + 2.3 * rows, rows, columns, sharey=True)
    for number, axes in enumerate(grid.flat):
        if number >= stages:
            axes.set_axis_off()
            continue
        for place, (name, structure) in enumerate(structures.items()):
            for rates in topology.columns(structure)[number] if number < len(structure.stages) else ():
                axes.plot(range(1, len(rates) + 1), rates, **_LOOKS[place % len(_LOOKS)], label=name)
        _octaves(axes, [rate for structure in structures.values() for rate in structure.rates])
        axes.set_title(f"stage {number + 1}")
        axes.set_xlabel("layer")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if number % columns == 0:
            axes.set_ylabel("dilation rate (frames)")
    legend(figure)
    return figure


def rate_paths(paths: Sequence[LayerPath], shape: Sequence[int]) -> Figure:
    """Return the rate of every layer over the updates, a panel for each stage.

    The branches that a layer had before an update are dots, the larger the more weight.

    Args:
        paths: Of each layer, in the order of the network, with at least one update each.
        shape: Rates of each stage; one panel for all where it is not that of the paths.
    """
    stages = list(shape) if sum(shape) == len(paths) else [len(paths)]
    columns = min(_PANELS, len(stages))
    rows = -(-len(stages) // columns)
    figure, grid = canvas(3.6 * columns, 0.4 + 2.8 * rows, rows, columns, sharey=True)
    dots = sum(len(step.branches) for path in paths for step in path.steps)
    remaining = iter(paths)
    for number, axes in enumerate(grid.flat):
        if number >= len(stages):
            axes.set_axis_off()
            continue
        members = [next(remaining) for _ in range(stages[number])]
        for layer, path in enumerate(members):
            _path(axes, layer, path, dense=dots > DENSE_DOTS)
        _numbers(axes, members)
        _octaves(axes, [rate for path in paths for rate in path.rates])
        axes.set_title(f"stage {number + 1}" if len(stages) > 1 else "all layers")
        axes.set_xlabel("update (0 = start)")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.margins(x=0.18)
        if number % columns == 0:
            axes.set_ylabel("dilation rate (frames)")
    return figure


def _path(axes: Any, layer: int, path: LayerPath, *, dense: bool) -> None:
    color = COLORS[:3] + COLORS[4:7]
    look = color[layer % len(color)]
    axes.plot(range(len(path.rates)), path.rates, color=look, linewidth=1.2)
    dots = [
        (number, branch, 4 + 36 * weight)
        for number, step in enumerate(path.steps)
        for branch, weight in zip(step.branches, step.weights, strict=True)
    ]
    axes.scatter(
        [dot[0] for dot in dots],
        [dot[1] for dot in dots],
        s=[dot[2] for dot in dots],
        color=look,
        alpha=0.35,
        linewidths=0,
        rasterized=dense,
    )


def _numbers(axes: Any, members: Sequence[LayerPath]) -> None:
    """Write the numbers of the layers at the ends of their paths; one text where paths end close together."""
    ends = sorted((path.rates[-1], layer) for layer, path in enumerate(members, start=1))
    groups: list[list[tuple[int, int]]] = []
    for end in ends:
        if groups and math.log2(end[0] / groups[-1][0][0]) < _CLOSE:
            groups[-1].append(end)
        else:
            groups.append([end])
    for group in groups:
        middle = math.sqrt(group[0][0] * group[-1][0])
        axes.annotate(
            " ".join(str(layer) for layer in sorted(layer for _, layer in group)),
            (len(members[0].rates) - 1, middle),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )


def _octaves(axes: Any, rates: Sequence[int]) -> None:
    """Give an axis of rates a tick at each power of two."""
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    axes.set_yscale("log", base=2)
    exponents = range(max(rates).bit_length() + 1)
    axes.yaxis.set_major_locator(FixedLocator([2**exponent for exponent in exponents]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.set_ylim(0.8, max(rates) * 1.25)
