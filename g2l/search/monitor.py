"""Counts what a search does and tells its observers; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from g2l.search.evaluator import Request, SearchObserver
from g2l.search.executors.contract import Executor
from g2l.search.ledger import Ledger
from g2l.search.population import Candidate, GenerationSummary, Origin
from g2l.search.status import Finding, SearchPhase, SearchStatus


class Monitor:
    """What a person wants to know about a running search.

    Args:
        observers: Told of every evaluation and generation.
        seed: Seed of every training whose score selects.
        full_steps: Optimiser steps of one final training, or None.

    Attributes:
        phase: What the search is doing.
        planned_steps: How many search and race are expected to take in all, or None.
        limited: Whether `planned_steps` is a limit, and no estimate.
        pruned: Candidates that wait, or were given up, after a part of the longest budget.
        evaluations: Scores so far.
        cache_hits: Those of them that other runs had made.
    """

    def __init__(self, observers: Sequence[SearchObserver], *, seed: int, full_steps: int | None) -> None:
        self.phase = SearchPhase.SEARCH
        self.planned_steps: int | None = None
        self.limited = False
        self.pruned = 0
        self.evaluations = 0
        self.cache_hits = 0
        self._failures = 0
        self._observers = observers
        self._seed = seed
        self._full_steps = full_steps
        self._scored: list[Candidate] = []

    def evaluated(
        self,
        candidate: Candidate,
        request: Request,
        *,
        cached: bool,
        generation: int,
        ledger: Ledger,
        executor: Executor,
    ) -> None:
        """Count one new evaluation.

        Args:
            candidate: As it was scored.
            request: What was asked for.
            cached: Whether it came from another run.
            generation: In which generation it was proposed.
            ledger: What the search has spent.
            executor: What trains the candidates.
        """
        self.evaluations += 1
        self.cache_hits += cached
        self._failures += candidate.failed
        if not candidate.failed and candidate.evaluation.seed == self._seed:
            self._scored.append(candidate)
        finding = Finding(
            evaluation=candidate.evaluation,
            origin=request.origin,
            generation=generation,
            phase=self.phase,
            cached=cached,
            provisional=request.provisional,
        )
        status = self._status(generation, ledger, executor)
        for observer in self._observers:
            observer.on_evaluation(finding)
            observer.on_status(status)

    def generation(self, summary: GenerationSummary) -> None:
        """Tell of a generation that was closed."""
        for observer in self._observers:
            observer.on_generation(summary)

    def end(self) -> None:
        """Tell that the search is over."""
        for observer in self._observers:
            observer.on_end()

    def _status(self, generation: int, ledger: Ledger, executor: Executor) -> SearchStatus:
        scores = self._deciding() or [0.0]
        return SearchStatus(
            phase=self.phase,
            generation=generation,
            best=max(scores),
            median=median(scores),
            evaluations=self.evaluations,
            cache_hits=self.cache_hits,
            pruned=self.pruned,
            failures=self._failures,
            steps=ledger.spent,
            completed_steps=ledger.completed,
            trained_steps=ledger.trained,
            planned_steps=self.planned_steps,
            limited=self.limited,
            full_steps=self._full_steps,
            workers=executor.slots,
        )

    def _deciding(self) -> list[float]:
        """Return the scores of the longest trainings by which the strategy ranks.

        Inherited weights score higher whatever the structure: only trainings that began like the latest one
        are compared with it.
        """
        searched = [one for one in self._scored if one.origin is not Origin.RACE] or self._scored
        if not searched:
            return []
        inherits = bool(searched[-1].evaluation.lineage)
        alike = [one for one in searched if bool(one.evaluation.lineage) is inherits]
        longest = max(one.evaluation.budget.amount for one in alike)
        return [
            one.fitness
            for one in self._scored
            if one.evaluation.budget.amount == longest and bool(one.evaluation.lineage) is inherits
        ]
