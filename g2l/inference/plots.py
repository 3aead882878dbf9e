"""Prediction and ground truth of a video as coloured strips."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from g2l.files import atomic_path

_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
"""Told apart with any colour vision (Okabe and Ito, 2008); grey instead of black, so that hatches show."""
_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "ooo", "+++")
"""Tell classes of one colour apart, since no more than eight colours are safe."""
_BACKGROUND = "#F2F2F2"

_Style = tuple[str, str]


def write_plot(
    path: Path,
    title: str,
    predicted: Sequence[str],
    *,
    truth: Sequence[str] | None,
    classes: Sequence[str],
    background: Collection[str] = (),
    fps: float | None = None,
) -> None:
    """Write a png of the prediction, over the ground truth where it is given, atomically.

    Args:
        path: Ends in `.png`.
        title: Name of the video.
        predicted: Class name of every frame.
        truth: True class name of every frame, or None.
        classes: All class names of the model: a class looks the same in every video.
        background: Classes drawn in a pale tone.
        fps: Frames per second for an axis in seconds, or None for frames.
    """
    # The figure's own interface: pyplot would keep global state and choose a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    strips = {"prediction": predicted} if truth is None else {"truth": truth, "prediction": predicted}
    styles = _styles((*classes, *predicted, *(truth or ())), background)
    shown = [name for name in styles if any(name in set(strip) for strip in strips.values())]
    figure = Figure(
        figsize=(12, 1.4 + 0.6 * len(strips) + 0.25 * ((len(shown) + 4) // 5)), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row, names in enumerate(strips.values()):
        _draw(axes, row, names, styles, fps or 1.0)
    axes.set_yticks(range(len(strips)), list(strips))
    axes.set_xlim(0, max(map(len, strips.values())) / (fps or 1.0))
    axes.set_xlabel("frames" if fps is None else "seconds")
    axes.set_title(title, parse_math=False)
    _legend(figure, shown, styles)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class name in a script the font lacks
        figure.savefig(temporary, format="png", dpi=100)


def _styles(names: Sequence[str], background: Collection[str]) -> Mapping[str, _Style]:
    """Return colour and hatch of each class, in order."""
    ordered = list(dict.fromkeys(names))
    actions = [name for name in ordered if name not in background]
    drawn = {
        name: (_COLORS[index % len(_COLORS)], _HATCHES[index // len(_COLORS) % len(_HATCHES)])
        for index, name in enumerate(actions)
    }
    return {name: drawn.get(name, (_BACKGROUND, "")) for name in ordered}


def _draw(axes: Any, row: int, names: Sequence[str], styles: Mapping[str, _Style], scale: float) -> None:
    """Draw one strip: a collection of bars per class."""
    bars: dict[str, list[tuple[float, float]]] = {}
    start = 0
    for name, run in groupby(names):
        length = sum(1 for _ in run)
        bars.setdefault(name, []).append((start / scale, length / scale))
        start += length
    for name, spans in bars.items():
        color, hatch = styles[name]
        axes.broken_barh(
            spans, (row - 0.4, 0.8), facecolor=color, hatch=hatch, edgecolor="black", linewidth=0.2
        )


def _legend(figure: Any, shown: Sequence[str], styles: Mapping[str, _Style]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(facecolor=color, hatch=hatch, edgecolor="black", linewidth=0.2)
        for color, hatch in (styles[name] for name in shown)
    ]
    # matplotlib leaves out labels that start with an underscore.
    labels = [f" {name}" if name.startswith("_") else name for name in shown]
    legend = figure.legend(
        patches, labels, loc="outside lower center", ncols=5, fontsize="small", frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
