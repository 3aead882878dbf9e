"""Figures of rates: layers × rates of each stage, and their paths through the local search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from g2l.palette import COLORS
from g2l.report.figures import BLUE, GREEN, GREY, ORANGE, canvas, legend
from g2l.report.stage_facts import LayerPath
from g2l.report.svg import INK
from g2l.structure import DilationStructure, LayerTopology

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 2
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
"""The hand-designed structure comes first; told apart by line and mark, not by colour alone."""


def rates_by_stage(structures: Mapping[str, DilationStructure], topology: LayerTopology) -> Figure:
    """Return the rate of every layer, a panel for each stage.

    Args:
        structures: By what they are called, all of the shape of the topology.
        topology: How the convolutions are connected.
    """
    stages = len(topology.shape)
    columns = min(_COLUMNS, stages)
    rows = -(-stages // columns)
    figure, grid = canvas(3.6 * columns, 0.7 + 2.3 * rows, rows, columns, sharey=True)
    for number, axes in enumerate(grid.flat):
        if number >= stages:
            axes.set_axis_off()
            continue
        for place, (name, structure) in enumerate(structures.items()):
            for rates in topology.columns(structure)[number]:
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
    columns = min(_COLUMNS, len(stages))
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
