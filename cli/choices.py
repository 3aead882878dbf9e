"""Named values whose enumerations live in modules too heavy to import for `--help`."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from g2l.errors import InputError

E = TypeVar("E", bound=Enum)


def choice(kind: type[E], value: str, option: str) -> E:
    """Return the member of `kind` with this value.

    Raises:
        InputError: There is none; the known ones are named.
    """
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise InputError(f"`{option}` must be one of {known}, but is {value!r} instead.") from None
