"""Sending one spool's events, in order, many to a request."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from g2l.tracking.destination import Batch, Destination
from g2l.tracking.events import BATCHED, Action, Event
from g2l.tracking.persistence import Persistence
from g2l.tracking.spool import Spool

_AFTER_BATCHES = frozenset({Action.FINISH, Action.MODEL})
"""Actions that need what was recorded before them: the end, and a model, which copies metrics of its run."""


class Delivery:
    """Sends what is in a spool; every event is acknowledged once it is applied or refused for good.

    Events may be applied twice when the process dies in between. That changes nothing: MLflow ignores equal
    metrics, parameters and tags, artifacts overwrite themselves, and runs are looked up before they are made.

    Args:
        spool: The events.
        persistence: Repeats what fails.
        left_over: Whether another process wrote the spool.
    """

    def __init__(self, spool: Spool, persistence: Persistence, *, left_over: bool) -> None:
        self.spool = spool
        self._persistence = persistence
        self._destination = Destination(spool, cautious=left_over)

    def step(self) -> bool:
        """Send the next events; return False when there are none.

        Raises:
            GaveUpError: The tracker is closing and the server is away.
        """
        events = self.spool.read(self.spool.sent)
        batches: dict[str, Batch] = {}
        applied: list[Event] = []
        for event, end in events:
            if event is not None and event.action in BATCHED:
                batches.setdefault(event.run, Batch()).add(event)
            elif event is not None and self._is_known(event):
                if event.action in _AFTER_BATCHES:
                    self._flush(batches)
                self._attempt(_name(event), partial(self._destination.apply, event))
                applied.append(event)
            if not batches:
                self._acknowledge(end, applied)
        if events:
            self._flush(batches)
            self._acknowledge(events[-1][1], applied)
        return bool(events)

    def _is_known(self, event: Event) -> bool:
        """Return whether the run, or the parent of a new one, exists; it does not where MLflow refused it."""
        needed = event.data["parent"] if event.action is Action.OPEN else event.run
        return needed is None or needed in self.spool.runs

    def _flush(self, batches: dict[str, Batch]) -> None:
        for run, batch in batches.items():
            if run in self.spool.runs:
                for request in batch.requests():
                    self._send(run, request)
        batches.clear()

    def _send(self, run: str, batch: Batch) -> None:
        singles = batch.singles()
        # A batch is refused as a whole, so only a value that is refused alone is named.
        what = _describe(batch) if len(singles) == 1 else None
        if not self._attempt(what, lambda: self._destination.log_batch(run, batch)) and what is None:
            for single in singles:
                self._send(run, single)

    def _attempt(self, what: str | None, operation: Callable[[], None]) -> bool:
        def careful() -> None:
            try:
                operation()
            except Exception:
                self._destination.cautious = True
                raise

        return self._persistence.run(what, careful, self._destination.probe)

    def _acknowledge(self, end: int, applied: list[Event]) -> None:
        """Note that all before `end` is done, then let go of the files that it needed."""
        self.spool.acknowledge(end)
        for event in applied:
            for key in ("file", "example"):
                if key in event.data:
                    self.spool.discard(event.data[key])
        applied.clear()


def _describe(single: Batch) -> str:
    names = [metric[0] for metric in single.metrics] or [*single.params, *single.tags]
    return f"`{names[0]}`"


def _name(event: Event) -> str:
    name = event.data.get("name") or event.data.get("file") or event.data.get("status")
    return f"{event.action} {name!r}"
