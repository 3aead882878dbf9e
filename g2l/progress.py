"""Progress as the library reports it; `cli.console` draws it, tests and scripts may ignore it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One bar: a known or unknown number of equal pieces of work."""

    def advance(self, count: int = 1, note: str | None = None) -> None:
        """Count `count` pieces as done and show `note` (a score, say) beside the bar."""
        ...


class Progress(Protocol):
    """Makes bars. Called from one thread only."""

    def task(self, description: str, total: int | None) -> AbstractContextManager[Task]:
        """Return a context manager that yields a `Task` and removes its bar at the end."""
        ...

    def show(self, fields: Sequence[str]) -> None:
        """Show short facts beside the bars until others are shown, or none any more."""
        ...

    def stage(self, title: str, seconds_left: float | None) -> None:
        """Show which stage of a job is running, and how long the whole job may still take."""
        ...


class _NullTask:
    def advance(self, count: int = 1, note: str | None = None) -> None:
        """Ignore the progress."""


class NullProgress:
    """Draws nothing."""

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator[Task]:
        """Yield a task that ignores what it is told."""
        yield _NullTask()

    def show(self, fields: Sequence[str]) -> None:
        """Ignore the facts."""

    def stage(self, title: str, seconds_left: float | None) -> None:
        """Ignore the stage."""


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
