"""Matplotlib figures as `svg` elements of a page: its text, its colours, ids of their own."""

from __future__ import annotations

import re
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

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
