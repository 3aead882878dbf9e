"""Events that a running search reports to its observers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from g2l.evaluation import Evaluation
from g2l.search.candidates import GenerationSummary, Origin


class SearchPhase(StrEnum):
    """Part of a search."""

    SEARCH = "search"
    RACE = "race"


@dataclass(frozen=True, kw_only=True)
class SearchStatus:
    """State of a search after an evaluation.

    Attributes:
        phase: What it is doing.
        generation: Number of the generation that is being evaluated.
        best: Best fitness among the scores that decide now (the longest trainings so far), in points.
        median: Median fitness of those, in points.
        evaluations: Scores so far, those of other runs included.
        cache_hits: Those that were not trained in this run.
        failures: Candidates that could not be trained.
        steps: Optimiser steps decided on so far; those of a smaller network count less.
        completed_steps: Those of them whose evaluation is known.
        trained_steps: Those of them that this process has trained: not replayed, not of other runs.
        planned_steps: Expected steps of search and race in all; None when unknown.
        limited: Whether `planned_steps` is a limit, not an estimate.
        full_steps: Optimiser steps of one full training, or None when unknown.
        workers: Candidates that are trained at once.
    """

    phase: SearchPhase
    generation: int
    best: float
    median: float
    evaluations: int
    cache_hits: int
    failures: int
    steps: int
    completed_steps: int
    trained_steps: int
    planned_steps: int | None
    limited: bool
    full_steps: int | None
    workers: int

    def seconds_left(self, elapsed: float) -> float | None:
        """Return the remaining time at the present pace, or None when it is unknown.

        Only what this process has trained sets the pace: replays and cache hits take no time.

        Args:
            elapsed: Seconds since this process began to search.
        """
        if self.planned_steps is None or not self.trained_steps:
            return None
        return max(0, self.planned_steps - self.completed_steps) * elapsed / self.trained_steps


@dataclass(frozen=True, kw_only=True)
class EvaluationEvent:
    """One new evaluation.

    Attributes:
        evaluation: Its metrics, or why it failed.
        origin: How its structure was proposed.
        generation: In which generation it was proposed.
        phase: Of the search at that time.
        cached: Whether it came from another run through the store.
        status: State of the search after it.
    """

    evaluation: Evaluation
    origin: Origin
    generation: int
    phase: SearchPhase
    cached: bool
    status: SearchStatus


class SearchObserver(Protocol):
    """Receives the events of a search, in its thread. A resumed search repeats them from the start."""

    def on_evaluation(self, event: EvaluationEvent) -> None:
        """Called once for each new task, in completion order."""
        ...

    def on_generation(self, summary: GenerationSummary) -> None:
        """Called after each generation."""
        ...

    def on_end(self) -> None:
        """Called once, after the last evaluation."""
        ...
