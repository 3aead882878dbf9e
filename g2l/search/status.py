"""Where a running search stands: what a person watching it wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from g2l.evaluation import Evaluation
from g2l.search.population import Origin


class SearchPhase(StrEnum):
    """What a search is doing."""

    SEARCH = "search"
    RACE = "race"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One evaluation, and how the search came by it.

    Attributes:
        evaluation: Its metrics, or why it failed.
        origin: How its structure came to be.
        generation: In which generation it was proposed.
        phase: Of the search at that time.
        cached: Whether it came from another run through the store.
        provisional: Whether the same training may go on to a larger budget.
    """

    evaluation: Evaluation
    origin: Origin
    generation: int
    phase: SearchPhase
    cached: bool
    provisional: bool


@dataclass(frozen=True, kw_only=True)
class SearchStatus:
    """A search after one more evaluation.

    Attributes:
        phase: What it is doing.
        generation: Number of the generation that is being evaluated.
        best: Best fitness among the scores that decide now (the longest trainings so far), in points.
        median: Median fitness of those, in points.
        evaluations: Scores so far, those of other runs included.
        cache_hits: Those that were not trained in this run.
        pruned: Candidates that wait, or were given up, after a part of the longest budget.
        failures: Candidates that could not be trained.
        steps: Optimiser steps decided on so far.
        completed_steps: Those of them whose evaluation is known.
        trained_steps: Those of them that this process has trained: no replay of a journal, no results of
            other runs.
        planned_steps: How many search and race are expected to take in all; None when unknown.
        limited: Whether `planned_steps` is a limit, and no estimate.
        full_steps: Optimiser steps of one full training, or None when unknown.
        workers: Groups of candidates that are trained at once.
    """

    phase: SearchPhase
    generation: int
    best: float
    median: float
    evaluations: int
    cache_hits: int
    pruned: int
    failures: int
    steps: int
    completed_steps: int
    trained_steps: int
    planned_steps: int | None
    limited: bool
    full_steps: int | None
    workers: int

    def seconds_left(self, elapsed: float) -> float | None:
        """Return how long the search will go on at its present pace, or None when nothing tells.

        What was replayed or came from other runs took no time, so only what was trained sets the pace.

        Args:
            elapsed: Seconds since this process began to search.
        """
        if self.planned_steps is None or not self.trained_steps:
            return None
        return max(0, self.planned_steps - self.completed_steps) * elapsed / self.trained_steps
