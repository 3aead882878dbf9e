"""Where a command begins and ends: its arguments are translated, signals stop it, errors become exit codes.

MLflow gives every parameter as `--name value`: booleans arrive as `true` or `false`, parameters that were not
set as an empty string. Both are translated here, once, for all commands.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.exceptions import Abort, Exit

from g2l.errors import G2LError, InputError

from . import console

EXIT_OK, EXIT_OPERATIONAL, EXIT_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)
KEEPS_EMPTY = {"--background", "--group-pattern"}
"""Options for which an empty value is a value: no background class, no grouping."""
BARE = {"--plots": "svg"}
"""Options that may stand without a value, and the value that this means; `true` and `false` as for a flag."""
OUT_OF_MEMORY = ("cannot allocate memory", "failed to map segment", "not enough memory", "out of memory")
"""Parts of the messages of loaders and allocators without memory."""


def _plain_flags(parameters: list[Any]) -> list[Any]:
    """Return parameters whose flags, such as `--help`, are shown without Typer's `<bool>`."""
    for one in parameters:
        if getattr(one, "is_flag", False):
            one.metavar = ""
    return parameters


class PlainGroup(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters, that of `--help` among them."""
        return _plain_flags(super().get_params(ctx))


class G2LCommand(TyperCommand):
    """A command that takes `--flag true`, `--flag false` and, for "not given", `--option ''`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters, that of `--help` among them."""
        return _plain_flags(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Translate the arguments of `mlflow run`, then parse as Typer does."""
        flags = {name for one in self.params if getattr(one, "is_bool_flag", False) for name in one.opts}
        known = {name for parameter in self.params for name in parameter.opts}
        return super().parse_args(ctx, translate_arguments([_dashed(one, known) for one in args], flags))


class G2LGroup(PlainGroup):
    """The root command: every outcome passes through `exit_code`."""

    def main(self, args: Sequence[str] | None = None, *positional: Any, **options: Any) -> Any:
        """Run a command line and leave with its exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        console.tolerate_encodings()
        _handle_signals(_stop)
        run = super().main
        code = exit_code(lambda: run(arguments, *positional, **options), debug="--debug" in arguments)
        if code == EXIT_INTERRUPTED:
            # Python takes its handlers down before it ends; a late second Ctrl-C would make it look killed.
            _handle_signals(signal.SIG_IGN)
        sys.exit(code)


def translate_arguments(args: Sequence[str], flags: Collection[str]) -> list[str]:
    """Return the arguments as Typer expects them; `--option=value` is the same as `--option value`.

    Args:
        args: The command line after the command's name.
        flags: The options that take no value.
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
        following = remaining[0].lower() if remaining else "-"
        given = [argument, BARE[argument]] if argument in BARE else [argument]
        if (argument in flags or argument in BARE) and following in ("true", "false"):
            remaining.pop(0)
            result += given if following == "true" else []
        elif following == "" and argument.startswith("--") and argument not in KEEPS_EMPTY:
            remaining.pop(0)
        else:
            result += given if following.startswith("-") else [argument]
    return result


def exit_code(call: Callable[[], Any], *, debug: bool) -> int:
    """Run `call` and return the exit code that its outcome stands for.

    Input errors are 2, operational ones 1, Ctrl-C 130. With `debug` the traceback is printed, too; an
    exception that is not one of ours is a bug and always shows its traceback.
    """
    try:
        result = call()
        return result if isinstance(result, int) else EXIT_OK
    except KeyboardInterrupt:
        console.error("interrupted.")
        return EXIT_INTERRUPTED
    except Exit as error:
        return error.exit_code
    except Abort:
        return EXIT_OPERATIONAL
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            console.data(str(error))
            return EXIT_INPUT
        code, message, hint = _report(error)
        if debug or message.startswith("internal error"):
            traceback.print_exception(error)
        console.error(message, hint)
        return code


def _report(error: Exception) -> tuple[int, str, str | None]:
    """Return exit code, message and hint of an error."""
    if isinstance(error, G2LError):
        return EXIT_INPUT if isinstance(error, InputError) else EXIT_OPERATIONAL, error.message, error.hint
    wrong_option = getattr(error, "format_message", None)
    if wrong_option is not None:
        context = getattr(error, "ctx", None)
        command = "g2l" if context is None else context.command_path
        return EXIT_INPUT, wrong_option(), f"`{command} --help` lists the options."
    cause: BaseException | None = error
    while cause is not None:
        lines = [line.strip() for line in str(cause).splitlines()]
        lines = [line for line in lines if any(part in line.lower() for part in OUT_OF_MEMORY)]
        if lines or isinstance(cause, MemoryError):
            message = lines[0] if lines else str(cause) or "out of memory"
            hint = "raise the limit of memory or address space (`ulimit -v`), or close other programs."
            return EXIT_OPERATIONAL, f"not enough memory: {message}", hint
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{error.filename}: "
        return EXIT_OPERATIONAL, f"{place}{error.strerror}", "`--debug` shows where it happened."
    message = f"internal error: {type(error).__name__}: {error}"
    return EXIT_OPERATIONAL, message, "this is a bug in g2l; please report it."


def _dashed(argument: str, known: set[str]) -> str:
    """Return an option in the spelling of MLflow, `--decay_epoch`, as it is: `--decay-epoch`."""
    name, equals, value = argument.partition("=")
    dashed = name.replace("_", "-")
    return dashed + equals + value if name not in known and dashed in known else argument


def _stop(_signal: int, _frame: object) -> None:
    """Raise KeyboardInterrupt once.

    Clean-up takes seconds where a tracking server is away or workers are ended, and people press twice: the
    second signal changes nothing. The third ends the process on the spot, which loses no more than a kill.
    """
    _handle_signals(lambda *_: _handle_signals(lambda *_: os._exit(EXIT_INTERRUPTED)))
    raise KeyboardInterrupt


def _handle_signals(handler: Callable[[int, Any], None] | signal.Handlers) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)
