"""Typer commands that accept what `mlflow run` can send, and the root command.

MLflow gives every parameter as `--name value`: booleans arrive as `true` or `false`, parameters that
were not set as an empty string. Both are translated here, once, for all commands.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

from . import console
from .errors import EXIT_INTERRUPTED, exit_code
from .interruption import ignore, listen

KEEPS_EMPTY = {"--background", "--group-pattern"}
"""Options for which an empty value is a value: no background class, no grouping."""


class G2LCommand(TyperCommand):
    """A command that takes `--flag true`, `--flag false` and, for "not given", `--option ''`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Translate the arguments of `mlflow run`, then parse as Typer does."""
        flags: dict[str, str | None] = {}
        for parameter in self.params:
            if getattr(parameter, "is_bool_flag", False):
                negative = parameter.secondary_opts[0] if parameter.secondary_opts else None
                flags |= dict.fromkeys(parameter.opts, negative)
        known = {name for parameter in self.params for name in parameter.opts}
        return super().parse_args(ctx, translate_arguments([_dashed(one, known) for one in args], flags))


class G2LGroup(TyperGroup):
    """The root command: every outcome passes through `errors.exit_code`."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **options: Any) -> Any:
        """Run a command line and leave with its exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        console.tolerate_encodings()
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


def _dashed(argument: str, known: set[str]) -> str:
    """Return an option of MLflow's spelling, `--decay_epoch`, as it is: `--decay-epoch`."""
    name, equals, value = argument.partition("=")
    dashed = name.replace("_", "-")
    return dashed + equals + value if name not in known and dashed in known else argument
