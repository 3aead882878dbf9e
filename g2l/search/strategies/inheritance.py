"""Children that start from their parents' weights, after Real et al. (ICML 2017)."""

from __future__ import annotations

from collections.abc import Sequence

from g2l.evaluation import Phase
from g2l.search.evaluator import Request
from g2l.search.population import Candidate, Proposal, ranked
from g2l.search.session import SearchSession
from g2l.search.survival import survivors
from g2l.structure import DilationStructure

FRACTION = 4
"""A generation is trained for one of so many parts of the proxy's budget."""
LIFETIME = 4
"""Generations of a round: nobody gets older than twice the proxy's budget."""
VERIFIED = 3
"""One of so many members is verified then."""


def search_by_inheritance(session: SearchSession) -> tuple[Candidate, ...]:
    """Breed structures that start from the weights of a parent; let those trained from scratch decide.

    Rates change no shape of a weight. So a child continues the training of the member with which it has
    most rates in common, instead of starting again (Real et al. 2017 let children keep all weights that
    fit). More training scores higher whatever the structure, so age must not pay: in each generation the
    better half of the population and the children that replace the other half are all trained for the same
    further steps, and only scores of one age are compared. After a few generations the best newcomers are
    trained from their initialisation; only such scores, all for the proxy's budget, name founders of the
    next round and the winner.

    Costs one proxy for each of the first population, then a quarter of it for each member and generation,
    of which every other member is new, and one for each that is verified. Ends where the allowed steps do,
    the last of which buy children from scratch; without such a limit after the generations of the settings.

    Args:
        session: The running search.

    Returns:
        All that were trained from scratch, best first.

    Raises:
        OperationalError: None of the first population could be trained.
    """
    size, left = session.config.population, session.config.generations
    verified = ranked(session.evaluate_first(size))
    session.close_generation(verified)
    while session.allowed is not None or left > 0:
        before = session.spent
        length = LIFETIME if session.allowed is not None else min(LIFETIME, left)
        grown = _live(session, verified[:size], length)
        verified = ranked((*verified, *_verify(session, grown, verified)))
        if session.spent == before:  # all that it could do was known already, or cannot be paid for
            break
        session.close_generation(verified[:size])
        left -= length
    return verified


def closest(structure: DilationStructure, members: Sequence[Candidate]) -> Candidate:
    """Return the member with most rates in common with `structure`, the first of them where several have."""

    def common(member: Candidate) -> int:
        return sum(a == b for a, b in zip(member.structure.rates, structure.rates, strict=True))

    return max(members, key=common)


def _live(session: SearchSession, founders: Sequence[Candidate], length: int) -> tuple[Candidate, ...]:
    """Return the population after at most `length` generations, best first."""
    population = tuple(founders)
    for _ in range(length):
        if not _affords_generation(session):
            break
        older = ranked(_generation(session, population))
        if all(member.failed for member in older):
            break
        population = older
        session.close_generation(population)
    return population


def _generation(session: SearchSession, population: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Replace the worse half of a population by children, and train all for the same further steps."""
    size = session.config.population
    parents = _parents(population, size)
    born = _children(session, parents, size - len(parents))
    # Children first: a survivor that goes on leaves behind the weights that its children start from.
    inherited = [(child, _lineage(closest(child.structure, parents))) for child in born]
    continued = [(Proposal(p.structure, p.origin), p.evaluation.lineage) for p in parents]
    age = parents[0].evaluation.budget.amount + _further(session)
    return session.answer(
        [
            Request(session.task(proposal.structure, steps=age, lineage=lineage), proposal.origin, True)
            for proposal, lineage in (*inherited, *continued)
        ]
    )


def _children(session: SearchSession, parents: Sequence[Candidate], count: int) -> list[Proposal]:
    """Return at most `count` structures that are not among the parents, all different."""
    breeder = session.breeder()
    if len(parents) < 2:
        born = breeder.random(count)
    else:
        born = [breeder.child(parents, session.config) for _ in range(count)]
    living = {parent.structure for parent in parents}
    distinct = {child.structure: child for child in born if child.structure not in living}
    return list(distinct.values())


def _lineage(parent: Candidate) -> tuple[Phase, ...]:
    """Return the lineage of a child: the parent's training up to now."""
    task = parent.evaluation.task
    return (*task.lineage, Phase(until=task.budget.amount, structure=task.structure))


def _verify(
    session: SearchSession, population: Sequence[Candidate], verified: Sequence[Candidate]
) -> tuple[Candidate, ...]:
    """Train the best newcomers from scratch.

    A few, or where no further generation can be paid for all, and children of those verified for the rest.
    """
    proposals = [Proposal(member.structure, member.origin) for member in population if not member.failed]
    last = session.allowed is not None and not _affords_generation(session)
    if last:
        size = session.config.population
        proposals += _children(session, _parents(verified, size), size)
    known = {candidate.structure for candidate in verified}
    distinct = {proposal.structure: proposal for proposal in proposals if proposal.structure not in known}
    newcomers = list(distinct.values())
    return session.evaluate(newcomers if last else newcomers[: _verified(session)])


def _parents(population: Sequence[Candidate], size: int) -> list[Candidate]:
    """Return the better half of a population of `size`, without those that failed."""
    return [member for member in survivors(population, (size + 1) // 2) if not member.failed]


def _affords_generation(session: SearchSession) -> bool:
    """Tell whether there is money for one more generation and the verification after it."""
    price = session.config.population * _further(session) + _verified(session) * session.proxy
    return session.allowed is None or session.spent + price <= session.allowed


def _further(session: SearchSession) -> int:
    return max(1, session.proxy // FRACTION)


def _verified(session: SearchSession) -> int:
    return max(1, session.config.population // VERIFIED)
