"""What all configurations share: validation that reports every fault at once, copies, JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from g2l.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of a configuration: frozen, keyword-only, validated as a whole."""

    def faults(self) -> Iterator[str]:
        """Yield one sentence per setting that is out of range."""
        yield from ()

    def validate(self) -> Self:
        """Return self.

        Raises:
            InputError: Some settings are out of range; all are named.
        """
        faults = list(self.faults())
        if faults:
            raise InputError(" ".join(faults))
        return self

    def replace(self, **changes: Any) -> Self:
        """Return a copy with `changes` applied, None meaning unchanged."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def at_least(name: str, value: int, minimum: int) -> Iterator[str]:
    """Yield a fault if `value` is below `minimum`."""
    if value < minimum:
        yield f"`{name}` must be >= {minimum}, but is {value} instead."


def positive(name: str, value: float) -> Iterator[str]:
    """Yield a fault unless `value` is finite and above 0."""
    if not 0 < value < float("inf"):
        yield f"`{name}` must be > 0 and finite, but is {value} instead."


def not_negative(name: str, value: float) -> Iterator[str]:
    """Yield a fault unless `value` is finite and not below 0."""
    if not 0 <= value < float("inf"):
        yield f"`{name}` must be >= 0 and finite, but is {value} instead."


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> Iterator[str]:
    """Yield a fault unless `value` is one of `allowed`."""
    if value not in allowed:
        yield f"`{name}` must be one of {', '.join(allowed)}, but is {value!r} instead."


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
