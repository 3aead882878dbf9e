"""Successive halving without barriers, after ASHA (Li et al., MLSys 2020), with children as newcomers."""

from __future__ import annotations

from collections.abc import Sequence

from g2l.search.asynchronous import run_asynchronously
from g2l.search.evaluator import Request
from g2l.search.population import Candidate, Origin, Proposal, ranked
from g2l.search.session import SearchSession, require_one
from g2l.structure import DilationStructure

REDUCTION = 3
"""One of so many candidates of a rung is promoted to the next one."""
GROWTH = 2
"""Budget of a rung over that of the rung below; a promoted candidate goes on from its own weights."""
RUNGS = 3
"""Most rungs there are: the proxy's budget, twice and four times that."""


def halve(session: SearchSession, first: Sequence[Proposal], *, children: bool) -> tuple[Candidate, ...]:
    """Train `first` in their order by successive halving, then children of the best if asked for.

    Args:
        session: The running search.
        first: Distinct structures, at least one.
        children: Whether children follow; else the end is where all were trained, or the steps are spent.

    Returns:
        Best first: those of the highest rung, then those of the one below that were not promoted. One that
        failed when it was promoted keeps the place it had below.

    Raises:
        OperationalError: None of the first ones could be trained.
    """
    halving = _Halving(session, first, children=children)
    run_asynchronously(session, halving, window=max(2, session.config.population // 2))
    if halving.unclosed:
        halving.close_generation()
    return halving.standing()


def rung_budgets(proxy: int, full_steps: int | None) -> tuple[int, ...]:
    """Return the budgets of the rungs in optimiser steps, ascending, none above a full training."""
    budgets = [proxy * GROWTH**rung for rung in range(RUNGS)]
    return tuple(budget for budget in budgets if full_steps is None or budget <= full_steps) or (proxy,)


class _Halving:
    """What decides: see `halve`."""

    def __init__(self, session: SearchSession, first: Sequence[Proposal], *, children: bool) -> None:
        self._session = session
        self._children = children
        self._budgets = rung_budgets(session.proxy, session.full_steps)
        self._rungs: list[list[Candidate]] = [[] for _ in self._budgets]
        self._promoted: list[set[int]] = [set() for _ in self._budgets]
        self._first = list(first)
        self._started: set[DilationStructure] = set()
        self._closed = 0
        self._told: list[Candidate] = []

    @property
    def pruned(self) -> int:
        """Candidates that stay below the highest rung."""
        return sum(
            len(told) - len(up) for told, up in zip(self._rungs[:-1], self._promoted[:-1], strict=True)
        )

    @property
    def unclosed(self) -> int:
        """Candidates since the last generation was closed."""
        return len(self._told) - self._closed

    def ask(self) -> Request | None:
        """Return a promotion where one is due, else a newcomer, None when neither can be paid for."""
        for rung in reversed(range(len(self._budgets) - 1)):
            candidate = self._due(rung)
            if candidate is not None:
                request = self._request(candidate.structure, candidate.origin, rung + 1)
                if self._session.affords([request.task]):
                    self._promoted[rung].add(candidate.order)
                    return request
        return self._newcomer()

    def tell(self, candidate: Candidate) -> None:
        """File a candidate under its rung; a generation is closed for every population of them."""
        rung = self._budgets.index(candidate.evaluation.budget.amount)
        self._rungs[rung].append(candidate)
        self._told.append(candidate)
        self._session.note_pruned(self.pruned)
        if self.unclosed == self._session.config.population:
            self.close_generation()

    def close_generation(self) -> None:
        """Close a generation of those that were told since the last one."""
        require_one(self._told)
        self._session.close_generation(
            self.standing()[: self._session.config.population], self._told[self._closed :]
        )
        self._closed = len(self._told)

    def standing(self) -> tuple[Candidate, ...]:
        """Return every candidate once, by its longest training that did not fail: highest rung first."""
        standing: dict[int, Candidate] = {}
        for told in reversed(self._rungs):
            for candidate in ranked(told):
                if not candidate.failed:
                    standing.setdefault(candidate.order, candidate)
        for candidate in self._rungs[0]:
            standing.setdefault(candidate.order, candidate)
        return tuple(standing.values())

    def _due(self, rung: int) -> Candidate | None:
        """Return the best candidate that is among the best of its rung and was not promoted yet."""
        best = ranked(self._rungs[rung])[: len(self._rungs[rung]) // REDUCTION]
        waiting = [c for c in best if c.order not in self._promoted[rung] and not c.failed]
        return waiting[0] if waiting else None

    def _newcomer(self) -> Request | None:
        config = self._session.config
        most = config.population * max(1, config.generations)
        if self._session.allowed is None and len(self._started) >= most:
            return None
        if not self._session.affords_new():  # before the generator is drawn from
            return None
        proposal = self._proposal()
        if proposal is None:
            return None
        self._started.add(proposal.structure)
        return self._request(proposal.structure, proposal.origin, 0)

    def _proposal(self) -> Proposal | None:
        if self._first:
            return self._first.pop(0)
        if not self._children:
            return None
        parents = self._parents()
        breeder = self._session.breeder()
        child = breeder.child(parents, self._session.config) if len(parents) > 1 else None
        # Where draws run out the breeder returns a known one: it costs nothing, so no limit would end it.
        if child is None or child.structure in self._started:
            return next(iter(breeder.random(1)), None)
        return child

    def _parents(self) -> Sequence[Candidate]:
        alive = [candidate for candidate in self.standing() if not candidate.failed]
        return alive[: max(2, len(alive) // REDUCTION)]

    def _request(self, structure: DilationStructure, origin: Origin, rung: int) -> Request:
        task = self._session.task(structure, steps=self._budgets[rung])
        return Request(task, origin, provisional=rung + 1 < len(self._budgets))
