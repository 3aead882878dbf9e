"""Frozen classes from JSON values, checked by the annotations of their fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from g2l.errors import InputError, brief
from g2l.files import read_json

LARGEST = 2**63
"""Integers from it on are refused: no number of a run is so large, and databases take none."""

T = TypeVar("T")


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file, or raise InputError."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a JSON object, found {type(value).__name__}.")
    return value


def build(kind: type[T], values: Mapping[str, Any], place: str) -> T:
    """Return a record of JSON values; other names are left out.

    Raises:
        InputError: A value is missing or of another kind; `place` begins the message.
    """
    found = {}
    for name, (hint, required) in _hints(cast(Any, kind)).items():
        if name in values:
            found[name] = _checked(hint, values[name], name, place)
        elif required:
            raise InputError(f"{place}: expected `{name}`, found none.")
    return kind(**found)


@lru_cache
def _hints(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Return the type of each field, and whether it has no default."""
    hints = get_type_hints(kind)
    return {
        one.name: (hints[one.name], one.default is one.default_factory is MISSING) for one in fields(kind)
    }


def _checked(hint: Any, value: Any, name: str, place: str) -> Any:
    """Return a JSON value as its annotation asks for; JSON has no NaN, no tuples and no enumerations."""
    if isinstance(hint, UnionType):
        return None if value is None else _checked(get_args(hint)[0], value, name, place)
    kind, inner = get_origin(hint) or hint, get_args(hint)
    is_record = is_dataclass(kind)
    if kind is Any:
        return value
    if kind is float and value is None:
        return float("nan")
    if is_record and isinstance(value, dict):
        return build(kind, value, place)
    if is_record and len(_hints(kind)) == 1:  # such as a structure, from its nested lists
        return kind(_checked(next(iter(_hints(kind).values()))[0], value, name, place))
    if isinstance(kind, type) and issubclass(kind, StrEnum) and value in list(kind):
        return kind(value)
    json_kind: Any = {Mapping: dict, Sequence: list, tuple: list, float: (int, float)}.get(kind, kind)
    if not isinstance(value, json_kind) or (isinstance(value, bool) and kind is not bool):
        expected = getattr(kind, "__name__", kind).lower()
        raise InputError(f"{place}: expected `{name}` to be {expected}, found {brief(repr(value))}.")
    if kind is Mapping and inner[1] is not Any:
        return {key: _checked(inner[1], item, name, place) for key, item in value.items()}
    if kind in (tuple, Sequence):
        return (tuple if kind is tuple else list)(_checked(inner[0], item, name, place) for item in value)
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise InputError(f"{place}: expected `{name}` to be below 2^63, found a larger number.")
    return float(value) if kind is float else value
