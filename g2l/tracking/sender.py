"""The background thread between a tracker and MLflow."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from g2l.tracking.delivery import Delivery
from g2l.tracking.environment import without_password
from g2l.tracking.events import Action, Event
from g2l.tracking.persistence import GaveUpError, Persistence, first_line
from g2l.tracking.protocol import RunStatus
from g2l.tracking.spool import Spool

logger = logging.getLogger("g2l")

_LINGER = 0.5
"""Seconds between two looks at the spool: what comes close together travels together."""
_STUCK = 120.0
"""Seconds without any progress after which `close` stops waiting: one request of MLflow's, repeated."""


class Sender(threading.Thread):
    """Sends first what earlier processes left for the same store, then what `own` receives.

    Args:
        own: The spool that this process writes.
        left_over: Spools of processes that are gone, oldest first.
        patience: Seconds that an absent server is waited for on `close`.
    """

    def __init__(self, own: Spool, left_over: list[Spool], patience: float) -> None:
        super().__init__(name="g2l-tracking", daemon=True)
        self._persistence = Persistence(patience, self._tell_away)
        self._own = own
        self._uri = own.header.uri
        same = [spool for spool in left_over if spool.header.uri == self._uri]
        self._first = [Delivery(spool, self._persistence, left_over=True) for spool in same]
        self._last = [
            Delivery(spool, self._persistence, left_over=True) for spool in left_over if spool not in same
        ]
        self._delivery = Delivery(own, self._persistence, left_over=False)
        self._closing = threading.Event()

    @property
    def spools(self) -> list[Spool]:
        """All spools, those of earlier processes first."""
        return [delivery.spool for delivery in (*self._first, *self._last, self._delivery)]

    def wait_for_run(self, run: str, opened_at: int, seconds: float) -> str | None:
        """Return MLflow's id of a local run once it exists, or None when the server is away or refuses it.

        Args:
            run: Local id.
            opened_at: Offset behind the event that opened it.
            seconds: Longest wait.
        """
        deadline = time.monotonic() + seconds
        while self._own.sent < opened_at and self.is_alive() and not self._persistence.away:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        ref = self._own.runs.get(run)
        return ref.run_id if ref else None

    def close(self) -> None:
        """Send the rest and end; return early when nothing moves any more."""
        self._persistence.close()
        self._closing.set()
        progress = -1
        while self.is_alive() and progress != (progress := sum(spool.sent for spool in self.spools)):
            self.join(_STUCK)

    def run(self) -> None:
        """Send until closed. Never lets an error out: what was not sent stays in its spool."""
        try:
            for delivery in self._first:
                self._empty_left_over(delivery)
            while not self._closing.wait(_LINGER):
                self._delivery.step()
            self._empty(self._delivery)
            for delivery in self._last:
                self._empty_left_over(delivery)
        except GaveUpError:
            return
        except Exception as error:
            logger.warning(
                "tracking stopped (%s); what is recorded stays in %s.", first_line(error), self._folder
            )

    @property
    def _folder(self) -> Path:
        return self._own.path.parent

    def _empty_left_over(self, delivery: Delivery) -> None:
        end_open_runs(delivery.spool)
        self._empty(delivery)

    def _empty(self, delivery: Delivery) -> None:
        while delivery.step():
            pass

    def _tell_away(self, error: Exception) -> None:
        logger.warning(
            "MLflow at %s does not answer (%s); what is recorded waits in %s and is sent later.",
            without_password(self._uri),
            first_line(error),
            self._folder,
        )


def end_open_runs(spool: Spool, reason: str = "the process ended before the run did") -> None:
    """Record that runs which were opened and not finished were killed."""
    now = int(spool.modified * 1000)
    for run in spool.open_runs():
        spool.append(Event(Action.TAGS, run, {"values": {"g2l.reason": reason}}))
        spool.append(Event(Action.FINISH, run, {"status": RunStatus.KILLED.value, "time": now}))
