"""Pictures that the stages keep with their runs; made without pyplot, so that no window system is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from g2l.search.tradeoff import TradeoffRow

LOGARITHMIC_FROM = 20.0
"""Ratio of the largest to the smallest cost from which its axis is logarithmic."""


def rate_map(updates: Sequence[Mapping[str, Sequence[int]]]) -> Figure:
    """Return a heat map of the rate of every layer over the updates of a local search.

    Args:
        updates: For each update, by layer: the rate before and after it. All have the same layers.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    layers = list(updates[0])
    columns = [[updates[0][name][0] for name in layers]] + [[u[name][1] for name in layers] for u in updates]
    rates = np.array(columns).T  # (layers, updates + 1)
    figure = Figure(figsize=(2 + 0.5 * rates.shape[1], 1.5 + 0.22 * len(layers)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(rates, norm=LogNorm(1, max(2, int(rates.max()))), cmap="cividis", aspect="auto")
    for (row, column), rate in np.ndenumerate(rates):
        axes.text(
            column,
            row,
            str(rate),
            ha="center",
            va="center",
            fontsize=6,
            color="white" if rate < rates.max() / 4 else "black",
        )
    axes.set_yticks(range(len(layers)), layers, fontsize=6)
    axes.set_xticks(range(rates.shape[1]))
    axes.set_xlabel("update (0 = start)")
    figure.colorbar(image, ax=axes, label="dilation rate (frames)")
    return figure


def fitness_over_generations(
    best: Sequence[float], mean: Sequence[float], hand_designed: float, name: str
) -> Figure:
    """Return fitness over generations, with the hand-designed structure as a line.

    Args:
        best: Best fitness of each generation, in percent.
        mean: Mean fitness of each generation, in percent.
        hand_designed: Fitness of the 2^l structure by the same budget and seed.
        name: What the fitness is.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(best, marker="o", label="best")
    axes.plot(mean, marker="s", linestyle="--", label="mean")
    axes.axhline(hand_designed, color="black", linestyle=":", label="hand-designed 2^l")
    axes.set_xlabel("generation (0 = first population)")
    axes.set_ylabel(f"hold-out {name} (%)")
    axes.legend()
    return figure


def fitness_over_cost(rows: Sequence[TradeoffRow], name: str, cost: str) -> Figure:
    """Return fitness against the second objective, with the front and the hand-designed structure marked.

    Args:
        rows: At least one, cheapest first.
        name: What the fitness is.
        cost: What the second objective is, with its unit.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    front = [row for row in rows if row.on_front]
    others = [row for row in rows if not row.on_front]
    axes.scatter(
        [row.cost for row in others], [row.fitness for row in others], s=14, color="0.6", label="dominated"
    )
    # A step, since nothing was found between two members: up to the next cost the cheaper one is best.
    axes.step(
        [row.cost for row in front],
        [row.fitness for row in front],
        where="post",
        marker="o",
        color="C0",
        label=f"front ({len(front)})",
    )
    marked = [row for row in rows if row.hand_designed]
    axes.scatter(
        [row.cost for row in marked],
        [row.fitness for row in marked],
        s=90,
        marker="*",
        color="black",
        zorder=3,
        label="hand-designed 2^l",
    )
    if rows[0].cost > 0 and rows[-1].cost / rows[0].cost >= LOGARITHMIC_FROM:
        axes.set_xscale("log")
    axes.set_xlabel(cost)
    axes.set_ylabel(f"hold-out {name} (%)")
    axes.legend()
    return figure
