"""Typer commands whose options come in groups, and which accept what `mlflow run` can send.

MLflow gives every parameter as `--name value`: booleans arrive as `true` or `false`, parameters that
were not set as an empty string. Both are translated here, once, for all commands.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from .errors import EXIT_INTERRUPTED, exit_code
from .interruption import ignore, listen

KEEPS_EMPTY = {"--background", "--group-pattern"}
"""Options for which an empty value says something: no background class, no grouping."""


class G2LCommand(TyperCommand):
    """A command that takes `--flag true`, `--flag false` and, for "not given", `--option ''`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Translate the arguments of `mlflow run`, then parse as Typer does."""
        flags: dict[str, str | None] = {}
        for parameter in self.params:
            if getattr(parameter, "is_bool_flag", False):
                negative = parameter.secondary_opts[0] if parameter.secondary_opts else None
                flags |= dict.fromkeys(parameter.opts, negative)
        arguments = translate_arguments(args, flags)
        try:
            return super().parse_args(ctx, [*arguments])
        except typer.BadParameter as error:
            error.message += _found(error, arguments)
            raise


class G2LGroup(TyperGroup):
    """The root command: every outcome passes through `errors.exit_code`."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **options: Any) -> Any:
        """Run a command line and leave with its exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        listen()
        run = super().main
        code = exit_code(lambda: run(arguments, *positional, **options), debug="--debug" in arguments)
        if code == EXIT_INTERRUPTED:
            ignore()
        sys.exit(code)


def translate_arguments(args: Sequence[str], flags: dict[str, str | None]) -> list[str]:
    """Return the arguments as Typer expects them; `--option=value` is the same as `--option value`.

    Args:
        args: The command line after the command's name.
        flags: Each boolean option with its negative form, or None where it has none.
    """
    result: list[str] = []
    remaining = list(args)
    while remaining:
        argument = remaining.pop(0)
        if argument == "--":
            return [*result, argument, *remaining]
        name, equals, value = argument.partition("=")
        if equals and name.startswith("--") and (name in flags or value == ""):
            argument, remaining = name, [value, *remaining]
        following = remaining[0].lower() if remaining else None
        if argument in flags and following in ("true", "false", ""):
            remaining.pop(0)
            chosen = argument if following == "true" else flags[argument] if following == "false" else None
            result += [chosen] if chosen is not None else []
        elif following == "" and argument.startswith("--") and argument not in KEEPS_EMPTY:
            remaining.pop(0)
        else:
            result.append(argument)
    return result


def _found(error: typer.BadParameter, args: Sequence[str]) -> str:
    """Return what an option was given, which Typer does not say of numbers."""
    options = error.param.opts if error.param is not None else []
    given = [value for name, value in pairwise(args) if name in options]
    return f", but is {given[-1]!r} instead." if given and repr(given[-1]) not in error.message else ""


def grouped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Spread each parameter that is annotated with an options dataclass into the options it holds."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            parameters += _fields(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))

    def command(**values: Any) -> Any:
        collected = {
            name: group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        return function(**collected, **values)

    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _fields(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
    ]
