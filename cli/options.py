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
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from rich.markup import escape

from g2l.config import FAST, PAPER, PRESETS, Budget
from g2l.errors import InputError
from g2l.settings import Rank, Setting, Settings, setting_fields

UNITS = ("epochs", "steps")
WIDEST = 20
"""Characters of a metavar; longer lists of choices are part of the help text."""
METAVARS = {int: "INTEGER", float: "FLOAT", Path: "PATH", Budget: "INTEGER"}


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

    def settings(self) -> Iterator[Setting]:
        """Yield a setting for each option, with the default and the rank that it has in this command."""
        ranks = {Rank.FIRST: self.first, Rank.ADVANCED: self.advanced, Rank.RARE: self.rare}
        for name, one in setting_fields(self.config).items():
            if (not self.only or name in self.only) and name not in self.without:
                if name in self.defaults:
                    one = replace(one, default=self.defaults[name], presets={}, default_text=None)
                rank = next((rank for rank, names in ranks.items() if name in names), one.rank)
                yield from by_option(replace(one, rank=rank))

    def usual(self, preset: str = FAST) -> Settings:
        """Return the configuration where no option is given."""
        return self.config.of_preset(preset).replace(**self.defaults)


def by_option(one: Setting) -> Iterator[Setting]:
    """Yield a setting as it is, a budget once for each of its units: the option determines the unit."""
    if one.type is not Budget:
        yield one
        return
    for unit in UNITS:
        text = f"{one.help}, in {'optimiser steps' if unit == 'steps' else unit}."
        yield replace(one, option=f"{one.option}-{unit}", help=text)


def grouped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command whose parameters of configuration classes are spread into options."""
    hints = get_type_hints(function, include_extras=True)
    used = uses_of(function)
    parameters: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in used:
            for option in map(_parameter, used[name].settings()):
                parameters.setdefault(option.name, option)
        else:
            parameters[name] = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
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
        options: dict[str, str] = {}
        for one in uses.settings():
            value = values.get(one.option.replace("-", "_"))
            if value is None:
                continue
            if other := options.get(one.name):
                errors.append(f"give --{other} or --{one.option}, not both.")
            options[one.name] = one.option
            try:
                given[one.name] = parse(one, value)
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
    return ", ".join("/".join(f"`--{one.option}`" for one in by_option(known[name])) for name in names)


def as_typed(message: str, config: type[Settings]) -> str:
    """Return an error of a configuration with each `setting` named as the `--option` it is."""
    known = setting_fields(config)

    def option(match: re.Match[str]) -> str:
        return f"`--{known[match[1]].option}`" if match[1] in known else match[0]

    return re.sub(r"`(\w+)`", option, message)


def parse(one: Setting, value: Any) -> Any:
    """Return the value of a setting that a text stands for; `none` is None where that is a value.

    Raises:
        ValueError: It stands for none; names the option and the text.
    """
    if isinstance(value, list):
        return tuple(parse(one, item) for item in value if item)  # '' stands for none
    if isinstance(value, bool):
        return value
    if one.optional and one.type not in (str, Path) and value.lower() == "none" not in one.choices:
        return None
    try:
        if one.type is bool:
            return {"true": True, "false": False}[value.lower()]
        if one.type is Budget:
            return Budget(int(value), "steps" if one.option.endswith("steps") else "epochs")
        return one.type(value)
    except InputError:
        raise ValueError(f"`--{one.option}` must be >= 1, but is {value} instead.") from None
    except (ValueError, KeyError):
        kinds = {int: "an integer", Budget: "an integer", float: "a number", bool: "true or false"}
        expected = kinds.get(one.type, f"one of {', '.join(one.choices)}")
        raise ValueError(f"`--{one.option}` must be {expected}, but is {value!r} instead.") from None


def default_text(one: Setting) -> str:
    """Return the default as help shows it, such as `4; paper: 8`; empty where there is nothing to show."""
    usual, paper = one.preset_value(FAST), one.preset_value(PAPER)
    if one.required:
        return ""
    texts = [_shown(one, usual)]
    if paper != usual and (text := _shown(one, paper)):
        texts.append(f"{PAPER}: {text}")
    return "; ".join(filter(None, texts))


def _shown(one: Setting, value: Any) -> str:
    """Return a default as text, empty where it is the obvious one, or a budget of another unit."""
    if value == one.default and one.default_text is not None:
        return one.default_text
    if value is None:
        return "" if one.type in (str, Path) else "none"
    if isinstance(value, bool):
        return "true" if value else ""
    if isinstance(value, Budget):
        return str(value.amount) if one.option.endswith(value.unit) else ""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def metavar(one: Setting) -> str:
    """Return what stands for the value in help: choices, the unit, or the type, with the range."""
    if one.choices:
        return "|".join(one.choices)
    if one.type is bool:
        return "true|false" if one.default else ""
    name = (one.unit or METAVARS.get(one.type, "TEXT")).upper().replace(" ", "_")
    limits = re.sub(r"([<>]=?) ", r"\1", one.range)
    return f"{name} {limits.partition(' and ')[0] if one.type is int else limits}".rstrip()


def _parameter(one: Setting) -> inspect.Parameter:
    """Return the parameter of the option of a setting."""
    value, text, default = metavar(one), one.help, default_text(one)
    if one.choices and len(value) > WIDEST:
        value, text = "CHOICE", f"{text} [{value}]"
    option = typer.Option(
        f"--{one.option}",
        help=escape(f"{text} [default: {default}]" if default else text),
        metavar=value.partition(" ")[0] or None,
        autocompletion=_completion(one.choices) if one.choices else None,
        rich_help_panel=None if one.rank is Rank.FIRST else "Advanced",
        hidden=one.rank is Rank.RARE,
        show_default=False,
    )
    kind: Any = list[str] if one.many else bool if one.type is bool and not one.default else str
    return inspect.Parameter(
        one.option.replace("-", "_"),
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if one.required else None,
        annotation=Annotated[kind if one.required else kind | None, option],
    )


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
        typer.Option("--help-all", is_eager=True, callback=_show_all, help="Show all options."),
    ],
)
