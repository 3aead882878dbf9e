"""A setting is a field of a frozen dataclass; its metadata holds range, unit, help and presets.

The standard library is enough for that. Pydantic would cost every `g2l --help` about 0.1 s and us a
dependency, and most of our checks concern several settings at once, which are methods there as well.
"""

from __future__ import annotations

import math
import os
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, dataclass_transform, get_args, get_origin, get_type_hints

from g2l.errors import InputError

LARGEST_SEED = 2**31 - 1
"""Largest seed that torch, numpy and scikit-learn accept, with room for the seeds after it."""

LONGEST_NAME = 230
"""Bytes of the name of a video or a data set: file systems allow 255, and temporary files have suffixes."""


class Rank(StrEnum):
    """Where `--help` shows an option: among the ten that matter most, below "Advanced", or not at all."""

    FIRST = "first"
    ADVANCED = "advanced"
    RARE = "rare"


@dataclass(frozen=True)
class Budget:
    """How long a training runs: a number of epochs or of optimiser steps."""

    amount: int
    unit: Literal["epochs", "steps"] = "epochs"

    def __post_init__(self) -> None:
        if self.unit not in ("epochs", "steps"):
            raise InputError(f"`unit` must be epochs or steps, but is {self.unit!r} instead.")
        if self.amount < 1:
            raise InputError(f"`amount` must be >= 1, but is {self.amount} instead.")

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting: name and type of its field, and the field's metadata.

    Attributes:
        name: Name of the field.
        type: `int`, `float`, `bool`, `str`, `Path`, `Budget` or an enumeration; of a tuple, of its items.
        optional: Whether None is a value.
        many: Whether it is a tuple.
        default: Its default.
        help: A noun phrase or an imperative.
        unit: Such as `frames`; None for a pure number.
        above: The value must be greater.
        at_least: The value must be greater or equal.
        below: The value must be less.
        at_most: The value must be less or equal.
        choices: The allowed values of text or of an enumeration.
        needs: Other settings without which this one does nothing, and the values that those must have.
        presets: Values by preset, where they differ from the default.
        default_text: What `--help` shows for the default, where the value does not explain itself.
        rank: Where `--help` shows the option.
        changes_result: False for what can only change where and how fast a result is computed.
        option: Name on the command line without its dashes.
        required: Whether the command line insists on it.
    """

    name: str
    type: type
    optional: bool
    many: bool
    default: Any
    help: str
    option: str
    unit: str | None = None
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    presets: Mapping[str, Any] = field(default_factory=dict)
    default_text: str | None = None
    rank: Rank = Rank.ADVANCED
    changes_result: bool = True
    required: bool = False

    @property
    def range(self) -> str:
        """The allowed range, empty without limits."""
        low = self.at_least if self.above is None else self.above
        high = self.at_most if self.below is None else self.below
        parts = [] if low is None else [f"{'>=' if self.above is None else '>'} {low:.10g}"]
        parts += [] if high is None else [f"{'<=' if self.below is None else '<'} {high:.10g}"]
        return " and ".join(parts)

    def preset_value(self, preset: str) -> Any:
        """Return the value that a preset gives it."""
        return self.presets.get(preset, self.default)

    def errors(self, value: Any) -> Iterator[str]:
        """Yield a sentence if a value is out of range."""
        finite = not isinstance(value, float) or math.isfinite(value)
        if isinstance(value, tuple):
            for item in value:
                yield from self.errors(item)
        elif value is None or isinstance(value, Enum):
            return
        elif self.choices and value not in self.choices:
            yield f"`{self.name}` must be one of {', '.join(self.choices)}, but is {value!r} instead."
        elif self.type in (int, float) and not (
            finite
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        ):
            parts = [self.range, "" if finite else "finite"]
            expected = " and ".join(filter(None, parts))
            yield f"`{self.name}` must be {expected}, but is {value} instead."


def setting(default: Any, help: str, **known: Any) -> Any:
    """Return the field of a setting with these attributes of `Setting`."""
    return field(default=default, metadata={"setting": {"help": help, **known}})


def seed_setting() -> Any:
    """Return the field of the seed, which several configurations share."""
    return setting(0, "Random seed.", at_least=0, at_most=LARGEST_SEED)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Settings:
    """Base of a configuration: each subclass is a frozen, keyword-only dataclass, validated as a whole."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error; subclasses add the checks that concern several settings."""
        for one in setting_fields(type(self)).values():
            value = getattr(self, one.name)
            yield from one.errors(value)
            for other, wanted in one.needs.items() if value != one.default else ():
                found = getattr(self, other)
                if wanted and found not in wanted:
                    values = " or ".join(wanted)
                    yield f"`{one.name}` needs `{other}` {values}, but it is {found} instead."
                elif not found:
                    yield f"`{one.name}` needs `{other}`."
                else:
                    continue
                break  # what else is missing follows from it

    def validate(self) -> Self:
        """Return self, or raise `InputError`, which names all invalid settings."""
        errors = list(self.errors())
        if errors:
            raise InputError(" ".join(errors))
        return self

    def replace(self, **changes: Any) -> Self:
        """Return a copy with `changes` applied."""
        return replace(self, **changes)

    def result_settings(self) -> dict[str, Any]:
        """Return the settings that can change a result, as JSON values.

        Left out are folders, workers, memory and what is kept on disk: a resumed search may change them.
        """
        known = setting_fields(type(self))
        return {name: value for name, value in self.as_dict().items() if known[name].changes_result}

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def of_preset(cls, preset: str) -> Self:
        """Return the settings as a preset has them."""
        return cls(**{name: one.preset_value(preset) for name, one in setting_fields(cls).items()})


_FIELDS: dict[type, Mapping[str, Setting]] = {}


def setting_fields(config: type[Settings]) -> Mapping[str, Setting]:
    """Return the settings of a configuration class by the names of their fields."""
    if config in _FIELDS:
        return _FIELDS[config]
    hints = get_type_hints(config)
    found = {}
    for one in fields(config):
        if "setting" not in one.metadata:
            continue
        known = {"option": one.name} | one.metadata["setting"]
        kind = hints[one.name]
        if optional := isinstance(kind, types.UnionType):
            kind = get_args(kind)[0]
        if many := get_origin(kind) is tuple:
            kind = get_args(kind)[0]
        if issubclass(kind, Enum):
            known["choices"] = tuple(str(member.value) for member in kind)
        known["option"] = known["option"].replace("_", "-")
        default = None if one.default is MISSING else one.default
        found[one.name] = Setting(
            name=one.name, type=kind, optional=optional, many=many, default=default, **known
        )
    return _FIELDS.setdefault(config, types.MappingProxyType(found))


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def is_folder_name(name: str) -> bool:
    """Return whether `name` can be that of one folder, without spaces around it."""
    plain = name.strip() == name and name.isprintable() and name not in ("", ".", "..")
    return plain and Path(name).name == name and len(os.fsencode(name)) <= LONGEST_NAME
