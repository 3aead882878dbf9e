"""What a running search shows: its status as short fields, and the observer that shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from . import console

if TYPE_CHECKING:
    from g2l.search.candidates import GenerationSummary
    from g2l.search.events import EvaluationEvent, SearchStatus


def status_fields(status: SearchStatus, seconds_left: float | None) -> list[str]:
    """Return where a search stands, the most wanted first.

    Args:
        status: After its latest evaluation.
        seconds_left: How long it will go on, or None when that is not known.
    """
    fields = [
        f"generation {status.generation}" if status.phase == "search" else status.phase.value,
        f"best {status.best:.1f}, median {status.median:.1f}",
        _steps(status),
    ]
    if seconds_left is not None:
        fields.append(f"{'at most' if status.limited else 'about'} {console.duration(seconds_left)} left")
    fields += [console.count(status.evaluations, "evaluation"), f"{status.cache_hits:,} cached"]
    if status.failures:
        fields.append(f"{status.failures:,} failed")
    return [*fields, console.count(status.workers, "worker")]


def _steps(status: SearchStatus) -> str:
    about = "" if status.limited else "about "
    planned = status.planned_steps
    steps = f"{status.completed_steps:,}" + ("" if planned is None else f" of {about}{planned:,}") + " steps"
    if status.full_steps is None:
        return steps
    spent = f"{status.completed_steps / status.full_steps:.1f}"
    return f"{steps} ({spent}{'' if planned is None else f' of {planned / status.full_steps:.1f}'} trainings)"


class SearchView:
    """A search observer that shows the status after each evaluation.

    Args:
        show: Takes the fields, and nothing when the search is over.
        clock: Seconds, from any start.
    """

    def __init__(
        self, show: Callable[[Sequence[str]], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show = show
        self._clock = clock
        self._start = clock()

    def on_evaluation(self, event: EvaluationEvent) -> None:
        """Show the status; the clock runs from the first training, not from what was replayed before it."""
        status, now = event.status, self._clock()
        if not status.trained_steps:
            self._start = now
        self._show(status_fields(status, status.seconds_left(now - self._start)))

    def on_generation(self, summary: GenerationSummary) -> None:
        """Wait for the next evaluation."""

    def on_end(self) -> None:
        """Show nothing any more."""
        self._show(())
