"""Figures of the stages; made without pyplot, so that no window system is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from g2l.files import atomic_path
from g2l.records import LocalSearchUpdate, figure_path
from g2l.search.proposals.shapes import Proof

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rate_map(history: Sequence[LocalSearchUpdate]) -> Figure:
    """Return a heat map of the rate of every layer over the updates of a local search, at least one."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    layers = list(history[0].layers)
    start = [layer.rate_before for layer in history[0].layers.values()]
    columns = [start, *([update.rates[name] for name in layers] for update in history)]
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


def shapes_figure(proof: Proof, name: str) -> Figure:
    """Return the front of score against cost with its intervals, and the hold-out curves beside it.

    Args:
        proof: Outcome of a search of shapes.
        name: What the fitness is.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    front, curves = figure.subplots(1, 2)
    for row, curve in zip(proof.rows, proof.curves, strict=True):
        reach = [[row.difference - row.low], [row.high - row.difference]]
        (line,) = curves.plot(range(1, len(curve) + 1), curve, label=row.name)
        front.errorbar(row.cost, row.difference, yerr=reach, color=line.get_color(), marker="o", capsize=3)
        front.annotate(row.name, (row.cost, row.difference), xytext=(4, 4), textcoords="offset points")
        curves.axvline(row.epochs, color=line.get_color(), linestyle=":")
    front.plot(
        [row.cost for row in proof.front], [row.difference for row in proof.front], color="black", alpha=0.3
    )
    front.axhline(0, color="black", linestyle=":")
    front.set_xlabel("multiply-adds (hand-designed = 1)")
    front.set_ylabel(f"hold-out {name}, difference (points)")
    curves.set_xlabel("epoch (dotted: best length)")
    curves.set_ylabel(f"hold-out {name} (%)")
    curves.legend(fontsize=7)
    return figure


def save_figure(folder: Path, name: str, figure: Figure) -> None:
    """Write a figure of a stage as a picture."""
    with atomic_path(figure_path(folder, name)) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
