"""How groups of tasks reach those who work on them in parallel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from g2l.evaluation import Evaluation
from g2l.search.executors.contract import TaskGroup

NOTHING_RUNS = "the search waits for an evaluation, but none is under way"


class Crew(Protocol):
    """Those who evaluate groups, several at once."""

    @property
    def idle(self) -> bool:
        """Whether another group can be started now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether evaluations are still to come."""
        ...

    def start(self, group: TaskGroup) -> None:
        """Begin to evaluate a group."""
        ...

    def collect(self) -> Iterator[Evaluation]:
        """Wait until a group has ended and yield evaluations; groups may be started meanwhile."""
        ...


def dispatch(groups: Iterator[TaskGroup | None], crew: Crew) -> Iterator[Evaluation]:
    """Yield the evaluations of all groups (see `Executor.evaluate`).

    Raises:
        RuntimeError: `groups` gives None though no evaluation is under way.
    """
    source = _Source(groups)
    while True:
        source.supply(crew)
        if not crew.busy:
            break
        for evaluation in crew.collect():
            source.supply(crew)  # before the caller takes its time over the evaluation
            yield evaluation
            source.paused = False
    if not source.exhausted:
        raise RuntimeError(NOTHING_RUNS)


class _Source:
    """The groups that are still to come.

    Attributes:
        paused: Whether there is none at the moment.
        exhausted: Whether there will be none any more.
    """

    def __init__(self, groups: Iterator[TaskGroup | None]) -> None:
        self.paused = False
        self.exhausted = False
        self._groups = groups

    def supply(self, crew: Crew) -> None:
        """Start groups for as long as somebody is idle."""
        while crew.idle and not self.paused and not self.exhausted:
            try:
                group = next(self._groups)
            except StopIteration:
                self.exhausted = True
            else:
                if group is None:
                    self.paused = True
                else:
                    crew.start(group)
