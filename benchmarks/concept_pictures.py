"""Draws the pictures of docs/concepts.md: `python -m benchmarks.concept_pictures`.

What a label sees is read off the rates; the local search is a real one, of one layer on two smooth signals.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from g2l.figures.style import BLUE, GREY, ORANGE, PAGE, canvas, save_figure, styled
from g2l.receptive_field import SearchSchedule, convert, parameter_groups
from g2l.receptive_field.schedule import Update

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
PATTERNS = {
    "by hand: 1, 2, 4, 8": (1, 2, 4, 8),
    "narrow: 1, 1, 2, 2": (1, 1, 2, 2),
    "with gaps: 1, 1, 6, 6": (1, 1, 6, 6),
}
LAG, START = 41, 32


@styled
def receptive_fields() -> Figure:
    """Return which frames one label sees through four layers of kernel 3, for some patterns of rates."""
    figure, grid = canvas(PAGE, 4.2, rows=len(PATTERNS), sharex=True)
    axes = grid[:, 0]
    for axis, (title, rates) in zip(axes, PATTERNS.items(), strict=True):
        _draw_pattern(axis, title, rates)
    axes[-1].set_xlabel("frames before (−) and after (+) the one that is labelled")
    return figure


def _draw_pattern(axis: Axes, title: str, rates: tuple[int, ...]) -> None:
    seen = {0}
    for depth, rate in enumerate(reversed(rates)):
        height = len(rates) - depth
        below = {frame + shift for frame in seen for shift in (-rate, 0, rate)}
        for frame in seen:
            for shift in (-rate, 0, rate):
                axis.plot([frame, frame + shift], [height, height - 1], color="0.75", linewidth=0.6, zorder=1)
        axis.scatter(sorted(seen), [height] * len(seen), s=6, color=BLUE, zorder=2)
        seen = below
    axis.scatter(sorted(seen), [0] * len(seen), s=6, color=ORANGE, zorder=2)
    reach = sum(rates)
    axis.set_title(
        f"{title}: receptive field {2 * reach + 1} frames, {len(seen)} of them looked at", loc="left"
    )
    axis.set_yticks(range(len(rates) + 1), ["features", *(f"layer {n + 1}" for n in range(len(rates)))])
    axis.grid(visible=False)


def signals(videos: int, frames: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return two smooth signals (videos, 2, frames); labels are the signs that they had LAG frames before."""
    generator = np.random.default_rng(seed)
    bell = np.exp(-(np.arange(-32, 33) ** 2) / (2 * 8.0**2))
    noise = generator.standard_normal((videos, 2, frames + LAG + len(bell) - 1))
    smooth = np.apply_along_axis(np.convolve, 2, noise, bell / np.linalg.norm(bell), "valid")
    labels = (smooth[:, 0, :frames] > 0) + 2 * (smooth[:, 1, :frames] > 0)
    labels[:, :LAG] = -100  # there is nothing before the first frame
    return torch.tensor(smooth[..., LAG:], dtype=torch.float32), torch.tensor(labels)


def searched() -> list[Update]:
    """Return the updates of a local search that starts at rate START."""
    torch.manual_seed(0)
    features, labels = signals(videos=8, frames=400, seed=0)
    dilated = nn.Conv1d(12, 12, 3, padding=START, dilation=START)
    model = nn.Sequential(nn.Conv1d(2, 12, 1), dilated, nn.ReLU(), nn.Conv1d(12, 4, 1))
    convert(model, max_rate=128, expansion_rate=0.1)
    groups = parameter_groups(model, learning_rate=5e-3, branch_learning_rate=2e-3)
    optimizer = torch.optim.Adam(groups)
    schedule = SearchSchedule(model, optimizer, interval=10, updates=20)
    while not schedule.finished:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(features), labels, ignore_index=-100).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return list(schedule.history)


@styled
def local_search(updates: list[Update]) -> Figure:
    """Return the branches at each update, as large as their weights, and the rate that follows."""
    figure, ((axis,),) = canvas(PAGE, 3.0)
    for update in updates:
        (found,) = update.layers.values()
        branches = [rate for (rate,) in found.branches]
        sizes = [300 * weight**2 for weight in found.weights]
        axis.scatter([update.number] * len(branches), branches, s=sizes, color="none", edgecolor=GREY)
    rates = [START, *(rate for update in updates for (rate,) in update.rates.values())]
    axis.step(range(1, len(rates) + 1), rates, where="mid", color=BLUE, label="rate")
    axis.axhline(LAG, color=ORANGE, linestyle="--", label=f"planted lag: {LAG} frames")
    axis.set_xticks(range(1, len(rates) + 1, 2))
    axis.set_xlabel("update")
    axis.set_ylabel("dilation rate (frames)")
    axis.legend(loc="lower right")
    return figure


def main() -> None:
    """Write the pictures."""
    for name, figure in {
        "receptive-field": receptive_fields(),
        "local-search": local_search(searched()),
    }.items():
        save_figure(FIGURES / f"{name}.svg", figure)


if __name__ == "__main__":
    main()
