"""Moved to `g2l.config`."""

from g2l.config import Ending

__all__ = ["Ending"]
