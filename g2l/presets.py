"""Moved to `g2l.config`."""

from g2l.config import PRESETS, Preset

__all__ = ["PRESETS", "Preset"]
