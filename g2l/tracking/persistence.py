"""Repeating what fails for want of a server, and dropping what can never succeed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger("g2l")

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_SUSPICIOUS_ATTEMPTS = 5
_TEMPORARY_CODES = frozenset(
    {
        "INTERNAL_ERROR",  # also: no connection
        "TEMPORARILY_UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "REQUEST_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "RESOURCE_CONFLICT",
        "ABORTED",
        "CANCELLED",
        "IO_ERROR",
        "PERMISSION_DENIED",  # a token that ran out: what is recorded outlives it
        "UNAUTHENTICATED",
    }
)


class GaveUpError(Exception):
    """The tracker is being closed and the server has not come back in time."""


class Persistence:
    """Runs operations until they succeed, are refused for good, or the tracker closes.

    Args:
        patience: Seconds that operations are still repeated for once `close` was called.
        notice: What to say once per outage; called with the error.
    """

    def __init__(self, patience: float, notice: Callable[[Exception], None]) -> None:
        self.away = False
        self._patience = patience
        self._notice = notice
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._told: set[str] = set()

    def close(self) -> None:
        """Cut waiting short: from here on, `patience` seconds are left."""
        self._deadline = time.monotonic() + self._patience
        self._closing.set()

    def run(self, what: str | None, operation: Callable[[], None], probe: Callable[[], None]) -> bool:
        """Return whether `operation` succeeded; False means that it was refused for good.

        Args:
            what: Names the operation in a warning; None for no warning.
            operation: Must be harmless to repeat.
            probe: Succeeds when the server answers at all; tells an outage from an operation that only looks
                as if it could succeed.

        Raises:
            GaveUpError: The tracker is closing and patience has run out.
        """
        attempt = 0
        while True:
            try:
                operation()
            except Exception as error:
                attempt += 1
                if not is_temporary(error) or (attempt > _SUSPICIOUS_ATTEMPTS and _succeeds(probe)):
                    if what is not None:
                        self._warn(what, error)
                    self.away = False
                    return False
                self._wait(attempt, error)
            else:
                self.away = False
                return True

    def _wait(self, attempt: int, error: Exception) -> None:
        if not self.away:
            self._notice(error)
            self.away = True  # who waits for this finds the notice given
        wait = min(_FIRST_WAIT * 2 ** (attempt - 1), _LONGEST_WAIT)
        if not self._closing.is_set() and self._closing.wait(wait):
            return  # closing: one more attempt at once
        if self._closing.is_set():
            if time.monotonic() + _FIRST_WAIT > self._deadline:
                raise GaveUpError from error
            time.sleep(_FIRST_WAIT)

    def _warn(self, what: str, error: Exception) -> None:
        reason = first_line(error)
        if reason not in self._told:
            self._told.add(reason)
            logger.warning("MLflow refuses %s, which is left out: %s", what, reason)


def is_temporary(error: Exception) -> bool:
    """Return whether the same operation may succeed later."""
    code = getattr(error, "error_code", None)
    if isinstance(code, str):
        return code in _TEMPORARY_CODES
    return isinstance(error, OSError) and not isinstance(error, FileNotFoundError)


def first_line(error: Exception) -> str:
    """Return what an error says, in one line of at most 300 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _succeeds(probe: Callable[[], None]) -> bool:
    try:
        probe()
    except Exception:
        return False
    return True
