"""Ctrl-C and SIGTERM: the first one stops the command, and no further one disturbs what it puts away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from .errors import EXIT_INTERRUPTED

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def listen() -> None:
    """From now on a signal raises KeyboardInterrupt, once.

    Clean-up takes seconds where a tracking server is away or workers are ended, and people press twice: the
    second signal changes nothing. The third ends the process on the spot, which loses no more than a kill.
    """
    _answer(_stop)


def ignore() -> None:
    """From now on no signal does anything.

    When everything is put away Python takes its handlers down before it ends, and a late second Ctrl-C would
    make it look killed.
    """
    _answer(signal.SIG_IGN)


def _stop(_signal: int, _frame: object) -> None:
    _answer(_wait)
    raise KeyboardInterrupt


def _wait(_signal: int, _frame: object) -> None:
    _answer(_leave)


def _leave(_signal: int, _frame: object) -> None:
    os._exit(EXIT_INTERRUPTED)


def _answer(handler: Callable[[int, object], None] | signal.Handlers) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)
