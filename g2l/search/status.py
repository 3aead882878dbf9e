"""Where a running search stands: what a person watching it wants to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SearchStatus:
    """A search after one more evaluation.

    Attributes:
        generation: Number of the generation that is being evaluated.
        best: Best fitness among the scores that decide now (the longest trainings so far), in points.
        median: Median fitness of those, in points.
        evaluations: Scores so far, those of other runs included.
        cache_hits: Those that were not trained in this run.
        pruned: Candidates that were given up after a part of their budget.
        failures: Candidates that could not be trained.
        steps: Optimiser steps decided on so far.
        allowed_steps: How many there may be in all, or None when generations end the search.
    """

    generation: int
    best: float
    median: float
    evaluations: int
    cache_hits: int
    pruned: int
    failures: int
    steps: int
    allowed_steps: int | None
