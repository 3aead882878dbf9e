"""Deciding while candidates run, in a way that does not depend on which of them is faster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from g2l.evaluation import EvaluationTask
from g2l.search.evaluator import Request
from g2l.search.population import Candidate
from g2l.search.session import SearchSession


class Decider(Protocol):
    """Decides one task at a time from the candidates it was told of."""

    def ask(self) -> Request | None:
        """Return a task that was not returned before, or None when there is none for the time being."""
        ...

    def tell(self, candidate: Candidate) -> None:
        """Learn of one candidate; called in the order in which they were asked for."""
        ...


def run_asynchronously(session: SearchSession, decider: Decider, *, window: int) -> None:
    """Evaluate what `decider` asks for, without waiting for whole generations.

    Request k is decided when exactly the candidates of the requests up to k − `window` have been told,
    whichever of the later ones are already there: so decisions do not depend on speed or on the number of
    workers, and no more than `window` workers are ever busy. When the decider has nothing to ask, it is told
    of one more candidate; the end is when all were told and it still has nothing.

    Args:
        session: The running search.
        decider: What decides.
        window: Requests that may be undecided on at the same time, >= 1.
    """
    asked: list[EvaluationTask] = []
    found: dict[EvaluationTask, Candidate] = {}
    told = 0

    def requests() -> Iterator[tuple[Request, ...] | None]:
        nonlocal told
        while True:
            request = None if len(asked) - told >= window else decider.ask()
            if request is not None:
                asked.append(request.task)
                yield (request,)
                continue
            if told == len(asked):
                return
            while asked[told] not in found:
                yield None
            decider.tell(found[asked[told]])
            told += 1

    session.stream(requests(), lambda candidate: found.setdefault(candidate.evaluation.task, candidate))
