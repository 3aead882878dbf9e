"""Figures of searches: candidates over the budget, and the rates of every layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from g2l.figures.style import (
    BLUE,
    COLORS,
    COLUMN,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PAGE,
    canvas,
    legend_below,
    styled,
)
from g2l.records import LocalSearchUpdate
from g2l.structure import DilationStructure, LayerTopology

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DENSE = 800
"""Marks from which a scatter is drawn as pixels: thousands of elements make a file large and slow."""
_MARKS = ("o", "s", "^", "D", "v", "P", "X")
_CLOSE = 0.7
"""Octaves below which two numbers beside an axis would cover each other."""
_LOOKS = (
    {"color": GREY, "linestyle": ":", "marker": "s", "markersize": 5, "fillstyle": "none"},
    {"color": ORANGE, "linestyle": "--", "marker": "^", "markersize": 4},
    {"color": BLUE, "linestyle": "-", "marker": "o", "markersize": 3.5},
    {"color": GREEN, "linestyle": "-.", "marker": "D", "markersize": 3},
    {"color": COLORS[6], "linestyle": "-", "marker": "x", "markersize": 4},
)
"""The hand-designed structure comes first; distinguished by line and mark, not by colour alone."""


@dataclass(frozen=True)
class Scored:
    """One score of a candidate, in points (None: failed), and the optimiser steps spent until it was known.

    `fresh` scores, of another seed, are not comparable with those that select.
    """

    spent: int
    fitness: float | None
    fresh: bool = False


def best_so_far(scores: Sequence[Scored]) -> tuple[list[int], list[float]]:
    """Return the steps spent at which a better structure was known, and the fitness of each."""
    spent: list[int] = []
    best: list[float] = []
    for score in scores:
        if score.fitness is not None and not score.fresh and (not best or score.fitness > best[-1]):
            spent.append(score.spent)
            best.append(score.fitness)
    return spent, best


@styled
def fitness_over_budget(
    searches: Mapping[str, tuple[str, Sequence[Scored], float]], hand_designed: float | None, name: str
) -> Figure:
    """Return the fitness of all candidates over what had been spent, and the best so far as a line.

    `searches` holds strategy, scores and the optimiser steps of a full training, by label.
    """
    figure, ((axes,),) = canvas(PAGE, 2.9)
    for number, (label, (strategy, scores, full)) in enumerate(searches.items()):
        random = strategy == "random"
        color = GREY if random else (BLUE, ORANGE, GREEN, COLORS[6])[number % 4]
        whose = f"{label}: " if len(searches) > 1 else ""
        _cloud(axes, scores, full, color, _MARKS[number % len(_MARKS)], whose)
        spent, best = best_so_far(scores)
        if spent:
            axes.step(
                [*(steps / full for steps in spent), scores[-1].spent / full],
                [*best, best[-1]],
                where="post",
                color=color,
                linestyle="--" if random else "-",
                label=f"{whose}best so far ({strategy})",
            )
    if hand_designed is not None:
        axes.axhline(hand_designed, color=INK, linestyle=":", label="hand-designed")
    axes.set_xlabel("full trainings spent")
    axes.set_ylabel(f"hold-out {name} (%)")
    axes.set_ylim(*_limits([s.fitness for _, scores, _ in searches.values() for s in scores], hand_designed))
    legend_below(figure)
    return figure


def _cloud(axes: Any, scores: Sequence[Scored], full: float, color: str, mark: str, whose: str) -> None:
    looks: dict[str, dict[str, Any]] = {
        "one seed": {"marker": mark, "linewidths": 0, "alpha": 0.5},
        "fresh seed": {"marker": "x", "linewidths": 1, "alpha": 0.7},
    }
    for what, look in looks.items():
        shown = [one for one in scores if one.fitness is not None and one.fresh == (what == "fresh seed")]
        if shown:
            axes.scatter(
                [score.spent / full for score in shown],
                [score.fitness for score in shown],
                s=12,
                color=color,
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


@styled
def fitness_over_generations(
    best: Sequence[float], mean: Sequence[float], hand_designed: float, name: str
) -> Figure:
    """Return best and mean fitness of each generation in percent, with the hand-designed one as a line."""
    figure, ((axes,),) = canvas(COLUMN, 2.3)
    axes.plot(best, marker="o", label="best")
    axes.plot(mean, marker="s", linestyle="--", label="mean")
    axes.axhline(hand_designed, color=INK, linestyle=":", label="hand-designed")
    axes.set_xlabel("generation (0 = first population)")
    axes.set_ylabel(f"hold-out {name} (%)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    legend_below(figure)
    return figure


@styled
def rates_by_stage(structures: Mapping[str, DilationStructure], topology: LayerTopology) -> Figure:
    """Return the rate of every layer of structures by their names, a panel for each stage."""
    stages = max(len(structure.stages) for structure in structures.values())
    figure, panels = _panels(stages, "layer")
    for number, axes in enumerate(panels):
        for place, (name, structure) in enumerate(structures.items()):
            for rates in topology.columns(structure)[number] if number < len(structure.stages) else ():
                axes.plot(range(1, len(rates) + 1), rates, **_LOOKS[place % len(_LOOKS)], label=name)
        _octaves(axes, [rate for structure in structures.values() for rate in structure.rates])
    legend_below(figure)
    return figure


@styled
def rate_paths(updates: Sequence[LocalSearchUpdate], shape: Sequence[int]) -> Figure:
    """Return the rate of every layer over the updates of a local search, a panel for each stage of `shape`.

    The branches that a layer had before an update are dots, the larger the more weight. There is one panel
    where `shape` is not that of the updates.
    """
    layers = list(updates[0].layers)
    stages = list(shape) if sum(shape) == len(layers) else [len(layers)]
    dots = sum(len(layer.branches) for update in updates for layer in update.layers.values())
    paths = {name: path_of(updates, name) for name in layers}
    figure, panels = _panels(len(stages), "update (0 = start)")
    remaining = iter(layers)
    for axes, count in zip(panels, stages, strict=True):
        members = list(islice(remaining, count))
        for place, name in enumerate(members):
            color = (COLORS[:3] + COLORS[4:7])[place % 6]
            axes.plot(paths[name], color=color)
            marks = [
                (number, branch, 2 + 20 * weight)
                for number, layer in enumerate(update.layers[name] for update in updates)
                for branch, weight in zip(layer.branches, layer.weights, strict=True)
            ]
            x, y, sizes = zip(*marks, strict=True)
            axes.scatter(x, y, s=sizes, color=color, alpha=0.35, linewidths=0, rasterized=dots > DENSE)
        _number(axes, [paths[name] for name in members])
        _octaves(axes, [rate for path in paths.values() for rate in path])
        axes.margins(x=0.18)
    return figure


def path_of(updates: Sequence[LocalSearchUpdate], name: str) -> list[int]:
    """Return the rate of a layer before the first update and after each."""
    return [updates[0].layers[name].rate_before, *(update.layers[name].rate_after for update in updates)]


def _panels(stages: int, label: str) -> tuple[Figure, list[Any]]:
    """Return a figure with a panel for each stage, at most two beside each other."""
    columns = min(2, stages)
    rows = -(-stages // columns)
    figure, grid = canvas(COLUMN if columns == 1 else PAGE, 0.5 + 1.8 * rows, rows, columns, sharey=True)
    panels = list(grid.flat)
    for axes in panels[stages:]:
        axes.set_axis_off()
    for number, axes in enumerate(panels[:stages]):
        axes.set_title(f"stage {number + 1}" if stages > 1 else "all layers")
        axes.set_xlabel(label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if number % columns == 0:
            axes.set_ylabel("dilation rate (frames)")
    return figure, panels[:stages]


def _number(axes: Any, paths: Sequence[Sequence[int]]) -> None:
    """Write the numbers of the layers at the ends of their paths; one text where paths end close together."""
    groups: list[list[tuple[int, int]]] = []
    for end in sorted((path[-1], layer) for layer, path in enumerate(paths, start=1)):
        if groups and math.log2(end[0] / groups[-1][0][0]) < _CLOSE:
            groups[-1].append(end)
        else:
            groups.append([end])
    for group in groups:
        middle = math.sqrt(group[0][0] * group[-1][0])
        layers = " ".join(str(layer) for layer in sorted(layer for _, layer in group))
        place = (len(paths[0]) - 1, middle)
        axes.annotate(layers, place, xytext=(5, 0), textcoords="offset points", va="center", fontsize=7)


def _octaves(axes: Any, rates: Sequence[int]) -> None:
    """Give an axis of rates a tick at each power of two."""
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(FixedLocator([2**power for power in range(max(rates).bit_length() + 1)]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.set_ylim(0.8, max(rates) * 1.25)
