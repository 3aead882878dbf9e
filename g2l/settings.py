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
from typing import Any, Final, Self, Union, get_args, get_origin, get_type_hints

from g2l.errors import InputError

LARGEST_SEED = 2**31 - 1
"""Largest seed that torch, numpy and scikit-learn accept, with room for the seeds after it."""

LONGEST_NAME = 230
"""Bytes of the name of a video or a data set: file systems allow 255, and temporary files have suffixes."""


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""Stands for a setting that was not given, where None is a value of its own ("no limit")."""


class Rank(StrEnum):
    """Where `--help` shows an option."""

    FIRST = "first"
    """Among the ten that matter most."""
    ADVANCED = "advanced"
    RARE = "rare"
    """Only in `--help-all` and the documentation."""


# ------------------------------------------------------------------------------------------- a setting


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Facts of a setting beside its name, type and default.

    Attributes:
        help: A noun phrase or an imperative.
        unit: Such as `frames`; None for a pure number.
        above: The value must be greater.
        at_least: The value must be greater or equal.
        below: The value must be less.
        at_most: The value must be less or equal.
        choices: The allowed values of text; those of an enumeration need not be listed.
        presets: Values by preset, where they differ from the default.
        default_text: What `--help` shows for the default, where the value does not explain itself.
        rank: Where `--help` shows the option.
        changes_result: False for what can only change where and how fast a result is computed.
        option: Name on the command line where it is not that of the field; "" for no option.
        required: Whether the command line insists on it.
        keeps_empty: Whether an empty text is a value, not "not given".
    """

    help: str
    unit: str | None = None
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    presets: Mapping[str, Any] = field(default_factory=dict)
    default_text: str | None = None
    rank: Rank = Rank.ADVANCED
    changes_result: bool = True
    option: str | None = None
    required: bool = False
    keeps_empty: bool = False

    def range(self, number: type) -> str:
        """Return the allowed range of an `int` or a `float`, empty without limits."""
        low = self.at_least if self.above is None else self.above
        high = self.at_most if self.below is None else self.below
        if low is None and high is None:
            return ""
        if high is None:
            return f"{'>' if self.above is not None else '>='} {low:g}"
        if low is None:
            return f"{'<' if self.below is not None else '<='} {high:g}"
        if number is int:
            return f">= {low:.0f} and <= {high:.0f}"
        opening, closing = "(" if self.above is not None else "[", ")" if self.below is not None else "]"
        return f"in {opening}{low:g}, {high:g}{closing}"

    def allows(self, value: float) -> bool:
        """Whether a number is within the range and finite."""
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )


def setting(default: Any, help: str, **known: Any) -> Any:
    """Return the field of a setting.

    Args:
        default: Its default.
        help: Its help text.
        known: The other attributes of `Setting`.
    """
    return field(default=default, metadata={"setting": Setting(help=help, **known)})


@dataclass(frozen=True, kw_only=True)
class SettingField:
    """A setting with the name, type and default of its field.

    Attributes:
        name: Name of the field.
        type: `int`, `float`, `bool`, `str`, `Path`, `Budget` or an enumeration; of a tuple, of its items.
        optional: Whether None is a value.
        many: Whether it is a tuple.
        default: Its default.
        setting: All else.
    """

    name: str
    type: type
    optional: bool
    many: bool
    default: Any
    setting: Setting

    @property
    def option(self) -> str:
        """The option without its dashes; `--<option>-epochs` and `--<option>-steps` for a budget."""
        return (self.name if self.setting.option is None else self.setting.option).replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """The allowed values of text or of an enumeration; empty where there is no list."""
        if issubclass(self.type, Enum):
            return tuple(str(member.value) for member in self.type)
        return self.setting.choices

    def preset_value(self, preset: str) -> Any:
        """Return the value that a preset gives it."""
        return self.setting.presets.get(preset, self.default)

    def errors(self, value: Any) -> Iterator[str]:
        """Yield a sentence if a value is out of range."""
        if value is None or isinstance(value, Enum):
            return
        if isinstance(value, tuple):
            for item in value:
                yield from self.errors(item)
        elif self.setting.choices and value not in self.setting.choices:
            yield f"`{self.name}` must be one of {', '.join(self.setting.choices)}, but is {value!r} instead."
        elif self.type in (int, float) and not self.setting.allows(value):
            expected = self.setting.range(self.type) or "a number"
            finite = " and finite" if self.type is float and not expected.startswith("in ") else ""
            yield f"`{self.name}` must be {expected}{finite}, but is {value} instead."


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of a configuration: frozen, keyword-only, validated as a whole."""

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error; subclasses add the checks that concern several settings."""
        for one in setting_fields(type(self)).values():
            yield from one.errors(getattr(self, one.name))

    def validate(self) -> Self:
        """Return self.

        Raises:
            InputError: Some settings are invalid; all are named.
        """
        errors = list(self.errors())
        if errors:
            raise InputError(" ".join(errors))
        return self

    def replace(self, **changes: Any) -> Self:
        """Return a copy with `changes` applied; `UNSET` leaves a setting as it is."""
        return replace(self, **{name: value for name, value in changes.items() if value is not UNSET})

    def result_settings(self) -> dict[str, Any]:
        """Return the settings that can change a result, as JSON values.

        Left out are folders, workers, memory and what is kept on disk: a resumed search may change them.
        """
        known = setting_fields(type(self))
        return {name: value for name, value in self.as_dict().items() if known[name].setting.changes_result}

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def of_preset(cls, preset: str) -> Self:
        """Return the settings as a preset has them."""
        return cls(**{name: one.preset_value(preset) for name, one in setting_fields(cls).items()})


_FIELDS: dict[type, Mapping[str, SettingField]] = {}


def setting_fields(config: type[Settings]) -> Mapping[str, SettingField]:
    """Return the settings of a configuration class by the names of their fields."""
    if config not in _FIELDS:
        _FIELDS[config] = types.MappingProxyType(_read_fields(config))
    return _FIELDS[config]


def _read_fields(config: type[Settings]) -> dict[str, SettingField]:
    hints = get_type_hints(config)
    found: dict[str, SettingField] = {}
    for one in fields(config):
        known = one.metadata.get("setting")
        if known is not None:
            kind, optional, many = _kind(hints[one.name])
            default = None if one.default is MISSING else one.default
            found[one.name] = SettingField(
                name=one.name, type=kind, optional=optional, many=many, default=default, setting=known
            )
    return found


def _kind(hint: Any) -> tuple[type, bool, bool]:
    """Return type, whether None is allowed, and whether it is a tuple."""
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (one for one in get_args(hint) if one is not type(None))
        kind, _, many = _kind(inner)
        return kind, True, many
    if get_origin(hint) is tuple:
        return get_args(hint)[0], False, True
    return hint, False, False


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def seed_setting() -> Any:
    """Return the field of the seed, which several configurations share."""
    return setting(0, "Random seed.", at_least=0, at_most=LARGEST_SEED)


def is_folder_name(name: str) -> bool:
    """Return whether `name` can be that of one folder, without spaces around it."""
    plain = name.strip() == name and name.isprintable() and name not in ("", ".", "..")
    return plain and Path(name).name == name and len(os.fsencode(name)) <= LONGEST_NAME
