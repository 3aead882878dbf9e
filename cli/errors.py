"""The one place where errors become a line on stderr and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from typer.exceptions import Abort, Exit

from g2l.errors import G2LError, InputError

from . import console

OUT_OF_MEMORY = ("cannot allocate memory", "failed to map segment", "not enough memory", "out of memory")
"""What loaders and allocators say when there is none."""

EXIT_OK, EXIT_OPERATIONAL, EXIT_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130


def exit_code(call: Callable[[], Any], *, debug: bool) -> int:
    """Run `call` and return the exit code that its outcome stands for.

    Input errors are 2, operational ones 1, Ctrl-C 130. With `debug` the traceback is printed, too; an
    exception that is not one of ours is a bug and always shows its traceback.
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
        return _other_error(error, debug=debug)


def _memory_error(error: BaseException | None) -> str | None:
    """Return what a lack of memory is reported as, by an error or what led to it; None if there is none."""
    while error is not None:
        lines = [
            line for line in str(error).splitlines() if any(part in line.lower() for part in OUT_OF_MEMORY)
        ]
        if lines or isinstance(error, MemoryError):
            return lines[0].strip() if lines else str(error) or "out of memory"
        error = error.__cause__ or error.__context__
    return None


def _other_error(error: Exception, *, debug: bool) -> int:
    """Print a wrong option or a lack of memory in one line; anything else is our own bug."""
    message = getattr(error, "format_message", None)
    memory = None if message is not None else _memory_error(error)
    if debug or (message is None and memory is None):
        traceback.print_exception(error)
    if memory is not None:
        console.error(
            f"not enough memory: {memory}",
            "raise the limit of memory or address space (`ulimit -v`), or close other programs.",
        )
        return EXIT_OPERATIONAL
    if message is None:
        console.error(
            f"internal error: {type(error).__name__}: {error}", "this is a bug in g2l; please report it."
        )
        return EXIT_OPERATIONAL
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(f"{message()}\n")
        return EXIT_INPUT
    command = context.command_path if context is not None else "g2l"
    console.error(message(), f"`{command} --help` lists the options.")
    return EXIT_INPUT
