"""Colours and patterns that all pictures share; a class looks the same in every one of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
"""Distinct for any colour vision (Okabe and Ito, 2008); grey instead of black, so that hatches show."""
BACKGROUND = "#F2F2F2"
"""Of the background class."""
PATTERNS = 7
"""Hatches that tell classes of one colour apart; 0 is none."""


@dataclass(frozen=True)
class Style:
    """How a class is drawn: colour, and number of the hatch (0 for none)."""

    color: str
    pattern: int


def styles(classes: Sequence[str], background: Collection[str] = ()) -> list[Style]:
    """Return the style of each class, in index order.

    Args:
        classes: All class names in the order of the mapping, so that a class keeps its style.
        background: Classes drawn in a pale tone.
    """
    found, place = [], 0
    for name in classes:
        if name in background:
            found.append(Style(BACKGROUND, 0))
            continue
        found.append(Style(COLORS[place % len(COLORS)], place // len(COLORS) % PATTERNS))
        place += 1
    return found
