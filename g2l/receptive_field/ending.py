"""How a search of the receptive fields may end."""

from __future__ import annotations

from enum import StrEnum


class Ending(StrEnum):
    """What becomes of the branches of a layer (RF-Next, section 3.4)."""

    SINGLE = "single"
    """One rate is left: the expectation."""
    MULTIPLE = "multiple"
    """The branches stay where they are; their weights start anew and are trained on."""
    MERGE = "merge"
    """The branches become one dense kernel, which computes what they did."""
