"""Typer options made from configuration classes: a command declares which configurations it takes.

```python
def train(data: DataConfig, recipe: RecipeConfig, run: RunConfig) -> None: ...
```
has an option for every setting of the three, and is called with the three configurations, validated. Typer
hands over all values as text. They are parsed here, so that all errors of a command are reported at once.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from rich.markup import escape

from g2l.config import FAST, PAPER, PRESETS, Budget
from g2l.errors import InputError
from g2l.settings import Rank, SettingField, Settings, setting_fields

UNITS = ("epochs", "steps")
_WIDEST = 20
"""Characters of a metavar; longer lists of choices are part of the help text."""
METAVARS = {int: "INTEGER", float: "FLOAT", Path: "PATH"}


@dataclass(frozen=True)
class Uses:
    """Annotates a parameter of a command: which settings of its configuration become options, and how.

    Attributes:
        only: The settings that become options; all if empty.
        without: Settings that do not.
        first: Settings that are among the first options of this command.
        advanced: Settings that `--help` of this command shows below "Advanced".
        rare: Settings that only `--help-all` of this command shows.
        adjust: Takes the given settings, the device and the preset; returns those that the configuration is
            made of.
        defaults: Settings with another default in this command, whatever the preset.
        config: The class of the configuration, which the annotation has.
    """

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    advanced: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    adjust: Callable[[dict[str, Any], str, str], dict[str, Any]] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    config: type[Settings] = Settings

    def fields(self) -> Iterator[SettingField]:
        """Yield the settings that become options."""
        for name, one in setting_fields(self.config).items():
            if (not self.only or name in self.only) and name not in self.without:
                if name in self.defaults:
                    fixed = replace(one.setting, presets={}, default_text=None)
                    one = replace(one, default=self.defaults[name], setting=fixed)
                yield one

    def usual(self, preset: str = FAST) -> Settings:
        """Return the configuration where no option is given."""
        return self.config.of_preset(preset).replace(**self.defaults)

    def rank(self, one: SettingField) -> Rank:
        """Return how prominent a setting is."""
        if one.name in self.first:
            return Rank.FIRST
        if one.name in self.rare:
            return Rank.RARE
        return Rank.ADVANCED if one.name in self.advanced else one.setting.rank


def grouped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command whose parameters of configuration classes are spread into options."""
    hints = get_type_hints(function, include_extras=True)
    used = uses_of(function)
    parameters: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in used:
            parameters[name] = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        for one in used[name].fields():
            for option in _parameters(one, used[name].rank(one)):
                parameters.setdefault(option.name, option)
    parameters["help_all"] = _HELP_ALL

    def command(**values: Any) -> Any:
        arguments = {name: value for name, value in values.items() if name in hints and name not in used}
        return function(**arguments, **configurations(used, values))

    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    ordered = sorted(parameters.values(), key=lambda one: one.default is not inspect.Parameter.empty)
    command.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    return command


def uses_of(function: Callable[..., Any]) -> dict[str, Uses]:
    """Return which configurations a command takes, by the names of its parameters."""
    found = {}
    for name, hint in get_type_hints(function, include_extras=True).items():
        config, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if isinstance(config, type) and issubclass(config, Settings):
            uses = next((mark for mark in marks if isinstance(mark, Uses)), Uses())
            found[name] = replace(uses, config=config)
    return found


def configurations(used: Mapping[str, Uses], values: Mapping[str, Any]) -> dict[str, Settings]:
    """Return the configurations that a command line asks for.

    Args:
        used: The configurations of the command by the names of its parameters.
        values: Texts of options by their names, None where not given; those of flags are booleans.

    Raises:
        InputError: Some texts are of the wrong type, or settings are invalid; all are named as options.
    """
    errors: list[str] = []
    preset = values.get("preset") or FAST
    defaults = preset if preset in PRESETS else FAST  # a wrong one is reported with all other errors
    configs: dict[str, Settings] = {}
    for name, uses in used.items():
        given: dict[str, Any] = {}
        for one in uses.fields():
            try:
                given |= _given(one, values)
            except ValueError as error:
                errors.append(str(error))
        if uses.adjust is not None and not errors:
            given = uses.adjust(given, values.get("device") or "auto", defaults)
        configs[name] = uses.usual(defaults).replace(**given)
        errors += [as_typed(error, uses.config) for error in configs[name].errors()]
    if errors:
        raise InputError(" ".join(dict.fromkeys(errors)))
    return configs


def option_list(config: type[Settings], names: Sequence[str]) -> str:
    """Return the options of settings as a list for a message."""
    known = setting_fields(config)
    return ", ".join("/".join(f"`--{option}`" for option in option_names(known[name])) for name in names)


def as_typed(message: str, config: type[Settings]) -> str:
    """Return an error of a configuration with each `setting` named as the `--option` it is."""
    known = setting_fields(config)

    def option(match: re.Match[str]) -> str:
        one = known.get(match[1])
        return f"`--{one.option}`" if one is not None and one.type is not Budget else match[0]

    return re.sub(r"`(\w+)`", option, message)


def parse(one: SettingField, text: str, option: str | None = None) -> Any:
    """Return the value of a setting that a text stands for; `none` is None where that is a value.

    Raises:
        ValueError: It stands for none; names the option and the text.
    """
    option = option or f"--{one.option}"
    if one.optional and one.type not in (str, Path) and text.lower() == "none" not in one.choices:
        return None
    try:
        if one.type is bool:
            return {"true": True, "false": False}[text.lower()]
        return one.type(text)
    except (ValueError, KeyError):
        article = {int: "an integer", float: "a number", bool: "true or false"}
        expected = article.get(one.type, f"one of {', '.join(one.choices)}")
        raise ValueError(f"`{option}` must be {expected}, but is {text!r} instead.") from None


def option_names(one: SettingField) -> list[str]:
    """Return the options of a setting: two for a budget, else one."""
    return [f"{one.option}-{unit}" for unit in UNITS] if one.type is Budget else [one.option]


def default_text(one: SettingField) -> str:
    """Return the default as help shows it, such as `4; paper: 8`; empty where there is nothing to show."""
    usual = one.preset_value(FAST)
    if one.setting.required or usual == () or usual is False:
        return ""
    if usual is None and one.setting.default_text is None and one.type in (str, Path):
        return ""
    texts = [_shown(one, usual)]
    if one.preset_value(PAPER) != usual:
        texts.append(f"{PAPER}: {_shown(one, one.preset_value(PAPER))}")
    return "; ".join(texts)


def metavar(one: SettingField) -> str:
    """Return what stands for the value in help: choices, the unit, or the type, with the range."""
    if one.choices:
        return "|".join(one.choices)
    if one.type is bool and one.default:
        return "true|false"
    name = (one.setting.unit or METAVARS.get(one.type, "TEXT")).upper().replace(" ", "_")
    limits = re.sub(" and .*", "", one.setting.range(one.type).replace("= ", "=").replace("> ", ">"))
    return f"{name} {limits}".rstrip()


def _parameters(one: SettingField, rank: Rank) -> Iterator[inspect.Parameter]:
    """Yield the parameters of the options of a setting."""
    shown: dict[str, Any] = {
        "rich_help_panel": None if rank is Rank.FIRST else "Advanced",
        "hidden": rank is Rank.RARE,
        "show_default": False,
    }
    for name in option_names(one):
        declaration = f"--{name}"
        annotation: Any = list[str] if one.many else str
        if one.type is bool and not one.default:
            annotation, shown["metavar"] = bool, ""
        else:
            shown["metavar"] = "INTEGER" if one.type is Budget else metavar(one).partition(" ")[0]
            if len(shown["metavar"]) > _WIDEST:
                shown["metavar"] = "CHOICE"
            if one.choices:
                shown["autocompletion"] = _completion(one.choices)
        required = one.setting.required
        yield inspect.Parameter(
            name.replace("-", "_"),
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if required else None,
            annotation=Annotated[
                annotation if required else annotation | None,
                typer.Option(declaration, help=_help(one, name), **shown),
            ],
        )


def _help(one: SettingField, option: str) -> str:
    text, default = one.setting.help, default_text(one)
    if one.type is Budget:
        unit = option.rpartition("-")[2]
        text = f"{text}, in {'optimiser steps' if unit == 'steps' else unit}."
        default = "; ".join(part for part in default.split("; ") if part.endswith(unit))
        default = default.removesuffix(f" {unit}")
    if one.choices and len(metavar(one)) > _WIDEST:
        text = f"{text} [{metavar(one)}]"
    return escape(f"{text} [default: {default}]" if default else text)


def _shown(one: SettingField, value: Any) -> str:
    if value == one.default and one.setting.default_text is not None:
        return one.setting.default_text
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, Enum):
        return str(value.value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _given(one: SettingField, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the setting if it was given, by its name."""
    found = {name: values.get(name.replace("-", "_")) for name in option_names(one)}
    texts = {name: value for name, value in found.items() if value is not None}
    if not texts:
        return {}
    if one.type is Budget:
        if len(texts) > 1:
            raise ValueError(f"give --{' or --'.join(texts)}, not both.")
        ((name, text),) = texts.items()
        try:
            amount = int(text)
        except ValueError:
            raise ValueError(f"`--{name}` must be an integer, but is {text!r} instead.") from None
        if amount < 1:
            raise ValueError(f"`--{name}` must be >= 1, but is {amount} instead.")
        return {one.name: Budget(amount, "steps" if name.endswith("steps") else "epochs")}
    (value,) = texts.values()
    if one.many:
        items = (item for item in value if item or not one.setting.keeps_empty)  # '' stands for none
        return {one.name: tuple(parse(one, item) for item in items)}
    return {one.name: value if isinstance(value, bool) else parse(one, value)}


def _completion(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def _show_all(context: typer.Context, value: bool) -> None:
    if value:
        for parameter in context.command.params:
            parameter.hidden = False  # type: ignore[attr-defined]
        typer.echo(context.get_help())
        raise typer.Exit


_HELP_ALL = inspect.Parameter(
    "help_all",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool,
        typer.Option("--help-all", is_eager=True, callback=_show_all, metavar="", help="Show all options."),
    ],
)
