"""Sizes of memory as people write them."""

from __future__ import annotations

import re

from g2l.errors import InputError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d*)?)\s*([kmgt]i?|)b?", re.ASCII | re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `2GB`, `1.5GiB` or `800M`.

    Raises:
        InputError: It is none, or no byte.
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * (_UNITS | _BINARY)[match[2].lower()]) if match else 0
    if size < 1:
        raise InputError(f"`max_memory` must be a size such as 2GB or 800MiB, but is {text!r} instead.")
    return size


def show_size(size: float) -> str:
    """Return bytes in the unit that suits them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
