"""The one place where errors become a line on stderr and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from typer.exceptions import Abort, Exit

from g2l.errors import G2LError, InputError

from . import console

EXIT_OK, EXIT_OPERATIONAL, EXIT_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130


def exit_code(call: Callable[[], Any], *, debug: bool) -> int:
    """Run `call` and return the exit code that its outcome stands for.

    Input errors are 2, operational ones 1, Ctrl-C 130. With `debug` the traceback is printed as well; an
    exception that is none of ours is a bug and always shows its traceback.
    """
    try:
        result = call()
        return result if isinstance(result, int) else EXIT_OK
    except G2LError as error:
        if debug:
            traceback.print_exc()
        console.error(error.message, error.hint)
        return EXIT_INPUT if isinstance(error, InputError) else EXIT_OPERATIONAL
    except KeyboardInterrupt:
        console.error("interrupted.")
        return EXIT_INTERRUPTED
    except Exit as error:
        return error.exit_code
    except Abort:
        return EXIT_OPERATIONAL
    except Exception as error:
        return _usage_error(error)


def _usage_error(error: Exception) -> int:
    """Print what Typer says of a wrong option in one line; anything else is our own bug."""
    message = getattr(error, "format_message", None)
    if message is None:
        traceback.print_exc()
        console.error(
            f"internal error: {type(error).__name__}: {error}", "this is a bug in g2l; please report it."
        )
        return EXIT_OPERATIONAL
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(f"{message()}\n")
        return EXIT_INPUT
    command = context.command_path if context is not None else "g2l"
    # pydantic, which checks values for Typer, puts its own name of the fault before Typer's.
    console.error(message().replace("Value error, ", ""), f"`{command} --help` lists the options.")
    return EXIT_INPUT
