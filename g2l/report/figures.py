"""The figures of a search; made without pyplot, so that no window system is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from g2l.palette import COLORS
from g2l.report.stage_facts import Generation, Scored
from g2l.report.svg import DENSE, INK, STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

    Scores under fresh seeds and with the weights of a super-network are left out: they are not compared
    with those that select.
    """
    spent: list[int] = []
    best: list[float] = []
    for score in scores:
        if score.fitness is None or score.fresh or score.shared:
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
        "shared weights": ([s for s in known if s.shared], {"marker": ".", "s": 8, "alpha": 0.4}),
        "one seed": (
            [s for s in known if not s.shared and not s.fresh],
            {"marker": mark, "s": 14, "alpha": 0.5},
        ),
        "fresh seed": (
            [s for s in known if not s.shared and s.fresh],
            {"marker": "x", "s": 18, "alpha": 0.7},
        ),
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


def population(generations: Sequence[Generation], name: str) -> Figure:
    """Return the members of each generation by origin, best, mean and median, and the diversity below.

    Args:
        generations: At least one.
        name: What the fitness is.
    """
    figure, axes = canvas(7.2, 4.8, 2, 1, sharex=True, height_ratios=(3, 1))
    above, below = axes[0, 0], axes[1, 0]
    origins = sorted({origin for one in generations for _, origin in one.members})
    members = sum(len(one.members) for one in generations)
    # Beside each other: those of one generation would hide each other.
    for place, origin in enumerate(origins):
        shift = 0.5 * ((place + 0.5) / len(origins) - 0.5)
        points = [
            (one.number + shift, fitness)
            for one in generations
            for fitness, whose in one.members
            if whose == origin and fitness is not None
        ]
        if points:
            above.scatter(
                *zip(*points, strict=True),
                s=16,
                marker=_MARKS[place % len(_MARKS)],
                color=COLORS[(place * 2) % len(COLORS)],
                alpha=0.6,
                linewidths=0,
                rasterized=members > DENSE,
                label=origin,
            )
    numbers = [one.number for one in generations]
    for what, style in (("best", "-"), ("median", "--"), ("mean", ":")):
        above.plot(
            numbers,
            [getattr(one, what) for one in generations],
            style,
            color=INK,
            marker="." if len(numbers) == 1 else "",
            label=what,
        )
    values = [fitness for one in generations for fitness, _ in one.members]
    above.set_ylim(*_limits(values, min(one.median for one in generations)))
    above.set_ylabel(f"hold-out {name}")
    below.plot(numbers, [one.diversity for one in generations], color=BLUE, marker="o", markersize=3)
    below.set_ylim(0, 1)
    below.set_ylabel("diversity")
    below.set_xlabel("generation (0 = first population)")
    below.xaxis.get_major_locator().set_params(integer=True)
    legend(figure)
    return figure


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
