"""Evaluates each structure once: from the journal, else from the store, else by training it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from g2l.evaluation import Budget, Evaluation, EvaluationStatus
from g2l.progress import Progress
from g2l.search.executors.contract import EvaluationTask, Executor
from g2l.search.journal import Journal
from g2l.search.population import Candidate, GenerationSummary, Proposal, Tally, fitness_of, ranked
from g2l.search.store import EvaluationStore
from g2l.structure import DilationStructure


class SearchObserver(Protocol):
    """Is told what a search does, in the thread of the search."""

    def on_evaluation(self, evaluation: Evaluation, generation: int, cached: bool) -> None:
        """Called once for each new structure, in the order in which they complete.

        Args:
            evaluation: Its metrics, or why it failed.
            generation: In which generation it was proposed.
            cached: Whether it came from another run through the store. A resumed search repeats the calls
                of the evaluations that its journal holds.
        """
        ...

    def on_generation(self, summary: GenerationSummary) -> None:
        """Called after each generation; a resumed search repeats these calls from generation 0."""
        ...


class Evaluator:
    """The memory of a search: what it has evaluated, under one budget and one seed.

    Deviation (METHOD, section 3, fix 5): the released code trains duplicates again.

    Args:
        executor: Trains the new ones.
        metric: Name of the fitness.
        budget: Training of one candidate.
        seed: Seed of every training: candidates differ by structure only.
        journal: Where evaluations are recorded, already begun, or None.
        store: Evaluations of all runs, or None.
        observers: Told of every new evaluation.
        progress: Draws a bar per batch.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        metric: str,
        budget: Budget,
        seed: int,
        journal: Journal | None,
        store: EvaluationStore | None,
        observers: Sequence[SearchObserver],
        progress: Progress,
    ) -> None:
        self._executor = executor
        self._metric = metric
        self._budget = budget
        self._seed = seed
        self._journal = journal
        self._store = store
        self._observers = observers
        self._progress = progress
        self._candidates: dict[DilationStructure, Candidate] = {}
        self._evaluations = self._cache_hits = self._failures = 0

    def __contains__(self, structure: object) -> bool:
        return structure in self._candidates

    @property
    def leader(self) -> Candidate:
        """The best candidate so far; ties go to the one that was proposed earlier."""
        return ranked(self._candidates.values())[0]

    @property
    def first(self) -> Candidate:
        """The candidate that was proposed first: the hand-designed one."""
        return min(self._candidates.values(), key=lambda candidate: candidate.order)

    def take_tally(self) -> Tally:
        """Return the counts since the last call."""
        tally = Tally(self._evaluations, self._cache_hits, self._failures)
        self._evaluations = self._cache_hits = self._failures = 0
        return tally

    def evaluate(self, proposals: Sequence[Proposal], generation: int) -> tuple[Candidate, ...]:
        """Return the candidates of `proposals` in their order, training only those never seen before."""
        fresh: dict[DilationStructure, Proposal] = {}
        for proposal in proposals:
            if proposal.structure not in self:
                fresh.setdefault(proposal.structure, proposal)
        known = len(self._candidates)
        orders = {structure: known + number for number, structure in enumerate(fresh)}
        self._cache_hits += len(proposals) - len(fresh)
        with self._progress.task(f"generation {generation}", len(fresh)) as bar:
            for evaluation, cached in self._obtain(list(fresh), generation):
                structure = evaluation.structure
                score = fitness_of(evaluation, self._metric)
                origin = fresh[structure].origin
                self._candidates[structure] = Candidate(evaluation, score, orders[structure], origin)
                self._count(evaluation, cached)
                bar.advance(note=f"{self._metric} {score:.2f}")
                for observer in self._observers:
                    observer.on_evaluation(evaluation, generation, cached)
        return tuple(self._candidates[proposal.structure] for proposal in proposals)

    def _obtain(
        self, structures: Sequence[DilationStructure], generation: int
    ) -> Iterator[tuple[Evaluation, bool]]:
        """Yield each evaluation as it becomes known, and whether another run had made it."""
        tasks = []
        for structure in structures:
            recorded = self._journal.find(structure) if self._journal else None
            stored = None
            if recorded is None and self._store is not None:
                stored = self._store.get(structure, self._budget, self._seed)
            if recorded is not None:
                yield recorded
            elif stored is not None:
                self._record(stored, generation, cached=True)
                yield stored, True
            else:
                tasks.append(EvaluationTask(structure, self._budget, self._seed))
        for evaluation in self._executor.evaluate(tasks) if tasks else ():
            # The journal first: were the store first, a kill between the two would turn this training
            # into a cache hit on resume, and the counts into others than those of an unbroken run.
            self._record(evaluation, generation, cached=False)
            if self._store is not None:
                self._store.put(evaluation)
            yield evaluation, False

    def _record(self, evaluation: Evaluation, generation: int, *, cached: bool) -> None:
        if self._journal is not None:
            self._journal.record_evaluation(evaluation, generation, cached=cached)

    def _count(self, evaluation: Evaluation, cached: bool) -> None:
        self._evaluations += not cached
        self._cache_hits += cached
        self._failures += evaluation.status is EvaluationStatus.FAILED
