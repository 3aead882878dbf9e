"""The style sheet, sizes and colours of all figures, and the files they become."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from html import escape
from io import StringIO
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from g2l.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")

COLUMN, PAGE = 3.3, 6.9
"""Inches: width of a column and of a page of a paper."""
STYLE = Path(__file__).with_name("g2l.mplstyle")
INK, RULE = "#1a1a1a", "#c8c7c6"
"""Text and thin lines of the style sheet; a page replaces them by its own colours."""
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
"""Of classes: distinct for any colour vision (Okabe and Ito, 2008); grey, not black, so that hatches show."""
BLUE, ORANGE, GREEN, GREY = COLORS[4], COLORS[5], COLORS[2], COLORS[7]
BACKGROUND = "#F2F2F2"
"""Of the background class."""
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "oo", "++++")
"""These distinguish classes of one colour."""
_PLACEHOLDERS = {"Last Resort High-Efficiency"}
"""Fonts that have a box for every character."""


@dataclass(frozen=True)
class ClassStyle:
    """How a class is drawn."""

    color: str
    hatch: str


def class_styles(classes: Sequence[str], background: Collection[str] = ()) -> list[ClassStyle]:
    """Return the style of each class, of all classes in index order; the background is pale."""
    styles = (ClassStyle(color, hatch) for hatch in cycle(HATCHES) for color in COLORS)
    return [ClassStyle(BACKGROUND, "") if name in background else next(styles) for name in classes]


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a function draw in the style sheet, whatever the user's own settings of matplotlib are."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        import matplotlib

        with matplotlib.rc_context(fname=STYLE):
            return draw(*args, **kwargs)

    return inside


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """Return a figure and its axes, (rows, columns); inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def legend_below(figure: Figure, columns: int | None = None) -> None:
    """Put one legend below all axes, each entry once."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        columns = columns or legend_columns(list(entries), figure.get_figwidth())
        figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Return how many labels fit beside each other in a width in inches."""
    characters = 19 * width  # at 7 pt
    return max(1, min(8, len(labels), int(characters // (max(map(len, labels)) + 8))))


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure, atomically; the suffix of the file is its format: svg, pdf or png.

    Raises:
        OperationalError: The disk refuses.
    """
    import matplotlib
    from matplotlib.text import Text

    texts = figure.findobj(Text)
    families, _ = fonts("".join(sorted({*"".join(text.get_text() for text in texts)})))
    if len(families) > 1:
        for text in texts:
            text.set_fontfamily(families)
    kind = path.suffix.removeprefix(".")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with atomic_path(path) as temporary, warnings.catch_warnings(), matplotlib.rc_context(fname=STYLE):
        warnings.simplefilter("ignore")  # characters without a font, see `undrawable`
        figure.savefig(temporary, format=kind, metadata=undated)


def svg_element(figure: Figure, key: str, title: str, description: str) -> str:
    """Return a figure as an `svg` element for a page: its text, its colours, ids that begin with `key`."""
    import matplotlib

    stream = StringIO()
    with (
        matplotlib.rc_context(fname=STYLE),
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}),
    ):
        figure.savefig(stream, format="svg", transparent=True, dpi=150)
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
        f'style="min-width:{min(width * 1.4, 420):.0f}px;max-width:{width * 1.8:.0f}px">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    )
    # Blanks are a seventh of what matplotlib writes.
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"<svg[^>]*>", lambda _: opening, text, count=1)).strip()


def undrawable(names: Sequence[str]) -> list[str]:
    """Return the names with characters that no installed font has."""
    _, missing = fonts("".join(sorted({*"".join(names)})))
    return [name for name in names if missing & set(name)]


@lru_cache
def fonts(characters: str) -> tuple[list[str], set[str]]:
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
