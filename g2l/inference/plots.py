"""Prediction and ground truth of a video as coloured strips."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from g2l.datasets.labels import Labels
from g2l.files import atomic_path
from g2l.metrics.segments import segments
from g2l.palette import Style, styles

_HATCHES = ("", "///", "...", "\\\\\\", "xxx", "ooo", "+++")
"""Of the patterns of `g2l.palette.Style`."""
_WIDTH, _DPI = 12.0, 150
"""Inches, and dots in each."""
_COLUMNS = 2000
"""Parts that a video is drawn in at most, about a dot each: what is shorter could not be seen."""
_OUTLINED, _NUMBERED = 0.0025, 0.011
"""Shares of the axis that a segment must fill to get outline and hatch, which would cover the colour of a
shorter one, and to have the number of its class written on it."""
_LONGEST, _PATCH, _LINE = 36, 12, 180
"""Characters of a class name that the legend shows, that colour and number beside it take, and of a line."""

_PLACEHOLDERS = {"Last Resort High-Efficiency"}
"""Fonts that have a box for every character."""


def write_plot(
    path: Path,
    title: str,
    predicted: Labels,
    *,
    truth: Labels | None,
    classes: Sequence[str],
    background: Collection[str] = (),
    fps: float | None = None,
) -> None:
    """Write a png of the prediction, over the ground truth where it is given, atomically.

    A class looks the same in every video, and has the number that the legend gives it: its index. Time
    and memory do not grow with the length of the video beyond one pass over it.

    Args:
        path: Ends in `.png`.
        title: Name of the video.
        predicted: Class index of every frame, (T,).
        truth: The same, or None.
        classes: Class names in index order: those of the model, then those that only the truth has.
        background: Classes drawn in a pale tone.
        fps: Frame rate for an axis in seconds, or None for frames.
    """
    # The figure's own interface: pyplot would keep global state and choose a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    strips = {"prediction": predicted} if truth is None else {"prediction": predicted, "truth": truth}
    longest = max(map(len, strips.values())) / (fps or 1.0)
    looks = styles(classes, background)
    shown = np.unique(np.concatenate([*strips.values()])).tolist()
    longest_name = max(len(_shortened(classes[label])) for label in shown)
    columns = min(8, _LINE // (longest_name + _PATCH))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(_WIDTH, 1.2 + 0.65 * len(strips) + 0.19 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row, labels in enumerate(strips.values()):
        _draw(axes, row, labels, looks, len(labels) / (fps or 1.0), longest)
    axes.set_yticks(range(len(strips)), list(strips))
    axes.set_ylim(len(strips) - 0.5, -0.5)  # the prediction is above the truth, and both touch
    axes.set_xlim(0, longest)
    axes.set_xlabel("frames" if fps is None else "seconds")
    axes.set_title(title, parse_math=False)
    _legend(figure, shown, classes, looks, columns)
    families, _ = _fonts("".join(sorted({*title, *"".join(classes[label] for label in shown)})))
    for text in figure.findobj(Text):
        text.set_fontfamily(families)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # characters without a font, see `undrawable`
        figure.savefig(temporary, format="png", dpi=_DPI)


def undrawable(names: Sequence[str]) -> list[str]:
    """Return the names with characters that no installed font has."""
    _, missing = _fonts("".join(sorted({*"".join(names)})))
    return [name for name in names if missing & set(name)]


@lru_cache
def _fonts(characters: str) -> tuple[list[str], set[str]]:
    """Return the font families for these characters, the default one first, and the characters without."""
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    default = font_manager.get_font(font_manager.findfont(font_manager.FontProperties())).family_name
    installed = {font.name: font.fname for font in font_manager.fontManager.ttflist}
    families, missing = [], {character for character in characters if character.isprintable()} - {" "}
    for family in dict.fromkeys([default, *sorted(installed.keys() - _PLACEHOLDERS)]):
        try:
            glyphs = FT2Font(installed[family]).get_charmap()
        except (KeyError, OSError, RuntimeError):  # a font that cannot be read
            continue
        drawn = {character for character in missing if ord(character) in glyphs}
        if drawn or family == default:
            families.append(family)
            missing -= drawn
        if not missing:
            break
    return families, missing


def _columns(labels: Labels) -> Labels:
    """Return the most frequent label of each of at most `_COLUMNS` equal parts of a video."""
    if len(labels) <= _COLUMNS:
        return labels
    num_classes = int(labels.max()) + 1
    parts = np.arange(len(labels)) * _COLUMNS // len(labels)
    counts = np.bincount(parts * num_classes + labels, minlength=_COLUMNS * num_classes)
    columns: Labels = counts.reshape(_COLUMNS, num_classes).argmax(axis=1)
    return columns


def _draw(axes: Any, row: int, labels: Labels, looks: Sequence[Style], length: float, longest: float) -> None:
    """Draw one strip: a collection of bars per class, and the number of the class where there is room."""
    drawn = _columns(labels)
    found = segments(drawn)
    starts = found.starts * length / len(drawn)
    lengths = (found.ends - found.starts) * length / len(drawn)
    outlined = lengths >= _OUTLINED * longest
    for label in np.unique(found.labels).tolist():
        outline = _outlined(looks[label])
        plain = {"facecolor": outline["facecolor"], "linewidth": 0}
        for chosen, look in ((~outlined, plain), (outlined, outline)):
            spans = np.stack([starts, lengths], axis=1)[chosen & (found.labels == label)].tolist()
            if spans:
                axes.broken_barh(spans, (row - 0.48, 0.96), **look)
    wide = lengths >= _NUMBERED * longest
    box = {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    number = {"ha": "center", "va": "center", "fontsize": 6.5, "bbox": box, "clip_on": True}
    for label, start, width in zip(found.labels[wide], starts[wide], lengths[wide], strict=True):
        axes.text(start + width / 2, row, str(label), **number)


def _outlined(style: Style) -> dict[str, Any]:
    return {
        "facecolor": style.color,
        "hatch": _HATCHES[style.pattern],
        "edgecolor": "black",
        "linewidth": 0.2,
    }


def _legend(
    figure: Any, shown: Sequence[int], classes: Sequence[str], looks: Sequence[Style], columns: int
) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(**_outlined(looks[label])) for label in shown]
    labels = [f"{label}  {_shortened(classes[label])}" for label in shown]
    legend = figure.legend(
        patches, labels, loc="outside lower center", ncols=columns, fontsize=8, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _shortened(name: str) -> str:
    """Return a name that is not too long, without its middle: names of a kind begin and end alike."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST // 2]}…{name[-_LONGEST // 2 + 1 :]}"
