"""Checks of JSON values that a report reads: a wrong kind or an absurd size names file and field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from g2l.errors import InputError
from g2l.files import read_json
from g2l.structure import DilationStructure

LARGEST = 10**12
"""Counts beyond it are not those of a run."""
MOST_RATE, MOST_STAGES, MOST_LAYERS, MOST_FRAMES = 2**24, 64, 24, 2**24

Json = Mapping[str, Any]
T = TypeVar("T")


def optional(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or an empty one where there is no such file."""
    if not path.is_file():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(value).__name__}.")
    return value


def as_structure(value: Any) -> DilationStructure:
    """Return the structure that nested lists hold."""
    stages = [as_list(stage, "stages") for stage in as_list(value, "stages")]
    if len(stages) > MOST_STAGES:
        raise ValueError(f"expected at most {MOST_STAGES} stages, found {len(stages)}")
    return DilationStructure(tuple(tuple(as_rate(rate) for rate in stage) for stage in stages))


def as_rate(value: Any) -> int:
    """Return a dilation rate."""
    return whole(value, "rate", 1, MOST_RATE)


def as_metrics(value: Any, what: str) -> dict[str, float]:
    """Return metrics in percent; `videos` and `frames` are counts."""
    return {
        name: real(one, f"{what}.{name}", 0, LARGEST if name in ("videos", "frames") else 100 + 1e-6)
        for name, one in as_object(value, what).items()
    }


def percent(value: Any, what: str) -> float:
    """Return a percentage."""
    return real(value, what, 0, 100 + 1e-6)


def percent_or_none(value: Any, what: str) -> float | None:
    """Return a percentage or None."""
    return None if value is None else percent(value, what)


def real(value: Any, what: str, low: float, high: float) -> float:
    """Return a number in a range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"expected `{what}` to be a number from {low:g} to {high:g}, found {_short(value)}")
    return float(value)


def whole(value: Any, what: str, low: int = 0, high: int = LARGEST) -> int:
    """Return an integer in a range."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"expected `{what}` to be an integer from {low} to {high}, found {_short(value)}")
    return value


def as_object(value: Any, what: str) -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, Mapping):
        raise ValueError(f"expected `{what}` to be an object, found {_short(value)}")
    return dict(value)


def as_list(value: Any, what: str) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected `{what}` to be a list, found {_short(value)}")
    return list(value)


def _short(value: Any) -> str:
    text = f"{value!r}" if not isinstance(value, int) or abs(value) < 10**20 else "a huge integer"
    return text if len(text) <= 60 else f"{text[:57]}…"


def build(kind: type[T], value: Json, **known: Any) -> T:
    """Return facts from an object with the names of their fields: integers are counts, floats percentages."""
    readers = {"int": whole, "float": percent, "float | None": percent_or_none}
    rest = {
        field.name: readers[str(field.type)](value[field.name], field.name)
        for field in fields(kind)  # type: ignore[arg-type]
        if field.name not in known
    }
    return kind(**known, **rest)
