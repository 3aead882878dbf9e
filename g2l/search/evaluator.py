"""Evaluates each task once: from the journal, else from the store, else by training it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from g2l.evaluation import Evaluation, EvaluationTask
from g2l.search.executors.contract import Executor
from g2l.search.journal import Journal
from g2l.search.ledger import Ledger
from g2l.search.population import Candidate, GenerationSummary, Origin, Tally, fitness_of
from g2l.search.status import Finding, SearchStatus
from g2l.search.store import EvaluationStore
from g2l.structure import DilationStructure


class SearchObserver(Protocol):
    """Is told what a search does, in the thread of the search."""

    def on_evaluation(self, finding: Finding) -> None:
        """Called once for each new task, in the order in which they complete.

        A resumed search repeats the calls of the evaluations that its journal holds.
        """
        ...

    def on_status(self, status: SearchStatus) -> None:
        """Called after each evaluation with where the search stands."""
        ...

    def on_generation(self, summary: GenerationSummary) -> None:
        """Called after each generation; a resumed search repeats these calls from generation 0."""
        ...

    def on_end(self) -> None:
        """Called once, when nothing more will be evaluated."""
        ...


@dataclass(frozen=True)
class Request:
    """A task and where its structure came from.

    Attributes:
        task: What is evaluated.
        origin: How its structure came to be.
        provisional: Whether the same training may go on to a larger budget.
    """

    task: EvaluationTask
    origin: Origin
    provisional: bool = False


class Evaluator:
    """The memory of a search.

    Deviation (METHOD, section 3, fix 5): the released code trains duplicates again.

    Args:
        executor: Trains the new ones.
        metric: Name of the fitness.
        group_size: Tasks that are handed to the executor together where they are alike.
        journal: Where evaluations are recorded, already begun, or None.
        store: Evaluations of all runs, or None.
        listener: Told of every new candidate, its request, and whether another run had evaluated it.
    """

    def __init__(
        self,
        executor: Executor,
        *,
        metric: str,
        group_size: int,
        journal: Journal | None,
        store: EvaluationStore | None,
        listener: Callable[[Candidate, Request, bool], None],
    ) -> None:
        self._executor = executor
        self._metric = metric
        self._group_size = group_size
        self._journal = journal
        self._store = store
        self._listener = listener
        self._known: dict[EvaluationTask, Candidate] = {}
        self._orders: dict[DilationStructure, int] = {}
        self._cached: set[EvaluationTask] = set()
        self._repeats = 0
        self._proposed_in: dict[EvaluationTask, int] = {}
        self.ledger = Ledger()
        self.generation = 0

    def __contains__(self, structure: object) -> bool:
        return structure in self._orders

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All that was evaluated, in the order in which it became known."""
        return tuple(self._known.values())

    def proposed_in(self, task: EvaluationTask) -> int:
        """Return the generation in which a task was asked for; when it completes depends on who is faster."""
        return self._proposed_in[task]

    def take_tally(self, learned: Sequence[Candidate]) -> Tally:
        """Return the counts of a generation.

        Args:
            learned: The candidates that became known in it.
        """
        cached = sum(candidate.evaluation.task in self._cached for candidate in learned)
        hits, self._repeats = cached + self._repeats, 0
        return Tally(len(learned) - cached, hits, sum(candidate.failed for candidate in learned))

    def evaluate(self, requests: Sequence[Request]) -> tuple[Candidate, ...]:
        """Return the candidates of `requests` in their order, training only those never seen before."""
        found: dict[EvaluationTask, Candidate] = {}
        distinct = {request.task: request for request in requests}
        self._repeats += len(requests) - len(distinct)
        self.stream(
            iter([tuple(distinct.values())]),
            lambda candidate: found.setdefault(candidate.evaluation.task, candidate),
        )
        return tuple(found[request.task] for request in requests)

    def stream(
        self, requests: Iterator[tuple[Request, ...] | None], receive: Callable[[Candidate], object]
    ) -> None:
        """Evaluate requests that are decided while others run.

        Args:
            requests: Pulled whenever the executor has room; None when nothing can be decided before
                another evaluation has been received.
            receive: Called for each request, as it becomes known.
        """
        asked: dict[EvaluationTask, Request] = {}

        def groups() -> Iterator[tuple[EvaluationTask, ...] | None]:
            for batch in requests:
                if batch is None:
                    yield None
                    continue
                for request in batch:
                    self._orders.setdefault(request.task.structure, len(self._orders))
                    # Now, not when it completes: what is left to spend must not depend on who is faster.
                    self.ledger.charge(request.task)
                    asked[request.task] = request
                    self._proposed_in.setdefault(request.task, self.generation)
                fresh = [request.task for request in batch if not self._recall(request, receive)]
                yield from grouped(fresh, self._group_size)

        for evaluation in self._executor.evaluate(groups()):
            # The journal first: were the store first, a kill between the two would turn this training
            # into a cache hit on resume, and the counts into others than those of an unbroken run.
            self._record(evaluation, cached=False)
            if self._store is not None:
                self._store.put(evaluation)
            self.ledger.complete(evaluation.task, trained=True)
            receive(self._learn(evaluation, asked[evaluation.task], cached=False))

    def _recall(self, request: Request, receive: Callable[[Candidate], object]) -> bool:
        """Answer a request without training, if that can be done; return whether it could."""
        known = self._known.get(request.task)
        if known is not None:
            self._repeats += 1
            receive(known)
            return True
        recorded = self._journal.find(request.task) if self._journal else None
        if recorded is None:
            stored = self._store.get(request.task) if self._store else None
            if stored is None:
                return False
            self._record(stored, cached=True)
            recorded = stored, True
        self.ledger.complete(request.task, trained=False)
        receive(self._learn(recorded[0], request, cached=recorded[1]))
        return True

    def _learn(self, evaluation: Evaluation, request: Request, *, cached: bool) -> Candidate:
        score = fitness_of(evaluation, self._metric)
        candidate = Candidate(evaluation, score, self._orders[evaluation.structure], request.origin)
        self._known[evaluation.task] = candidate
        if cached:
            self._cached.add(evaluation.task)
        self._listener(candidate, request, cached)
        return candidate

    def _record(self, evaluation: Evaluation, *, cached: bool) -> None:
        if self._journal is not None:
            self._journal.record_evaluation(evaluation, self.proposed_in(evaluation.task), cached=cached)


def grouped(tasks: Sequence[EvaluationTask], size: int) -> Iterator[tuple[EvaluationTask, ...]]:
    """Cut tasks into groups that may be trained as one network: neighbours of one budget, seed and age.

    Args:
        tasks: In the order in which they should start.
        size: Most tasks of a group.
    """
    for _, alike in groupby(tasks, key=lambda task: (task.budget, task.seed, len(task.lineage))):
        same = list(alike)
        yield from (tuple(same[start : start + size]) for start in range(0, len(same), size))
