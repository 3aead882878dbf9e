"""Colours that all pictures share."""

from __future__ import annotations

COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")
"""Told apart with any colour vision (Okabe and Ito, 2008); grey instead of black, so that hatches show."""
BACKGROUND = "#F2F2F2"
"""Of the background class."""
