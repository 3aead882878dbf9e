"""One super-network for all structures, after Bender et al. (ICML 2018) and Guo et al. (ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence

from g2l.evaluation import EvaluationTask, Phase
from g2l.search.evaluator import Request
from g2l.search.population import Candidate, Origin, Proposal, ranked
from g2l.search.session import SearchSession, require_one
from g2l.search.strategies.halving import halve
from g2l.search.survival import survivors
from g2l.structure import DilationStructure

PROXIES = 3
"""Length of the super-network in proxy budgets where that of a full training is not known."""
ROUNDS = 4
"""Generations of scores that cost no steps, for each one of the settings."""


def search_one_shot(session: SearchSession) -> tuple[Candidate, ...]:
    """Search over the scores of one network trained for all structures; verify the best from scratch.

    Rates change no shape of a weight. So one network is trained with rates drawn anew for every step, each
    layer's alone and uniformly (Guo et al.: what is drawn alike is ranked fairly), and a structure's score
    is that of this network with its rates. A genetic search ranks structures by such scores; the best are
    then trained from their initialisation by successive halving, and only those scores decide.

    Costs the steps of one full training (three proxies where its length is not known, at most half of what
    is allowed) and those of the halving: the hand-designed structure first, then by rank until the allowed
    steps are spent; without a limit as many as the population. Scores by the super-network cost no steps,
    only a pass over the hold-out each.

    Args:
        session: The running search.

    Returns:
        The verified ones, best first, by their longest training.

    Raises:
        OperationalError: None of the first ones could be scored, or none of the best be trained.
    """
    network = _SuperNetwork(session)
    population = network.evaluate_first()
    session.close_generation(population)
    for _ in range(ROUNDS * session.config.generations):
        offspring = network.evaluate(session.breeder().offspring(population, session.config))
        population = survivors((*population, *offspring), session.config.population)
        session.close_generation(population)
    return _verify(session, ranked(network.scored))


def super_network_steps(session: SearchSession) -> int:
    """Return how long the super-network is trained: like a network of its own, for at most half the money."""
    steps = session.full_steps or PROXIES * session.proxy
    return steps if session.allowed is None else min(steps, (session.allowed - session.spent) // 2)


class _SuperNetwork:
    """Scores structures by weights that they share; see `search_one_shot`."""

    def __init__(self, session: SearchSession) -> None:
        self._session = session
        self._steps = super_network_steps(session)
        self._lineage = (Phase(until=self._steps, rates=session.space.rates),)
        self.scored: list[Candidate] = []

    def evaluate_first(self) -> tuple[Candidate, ...]:
        """Return the first population, best first."""
        proposals = self._session.first_proposals(self._session.config.population)
        # One alone to begin with: workers that start together would each train the network.
        first = (*self.evaluate(proposals[:1]), *self.evaluate(proposals[1:]))
        require_one(first)
        return ranked(first)

    def evaluate(self, proposals: Sequence[Proposal]) -> tuple[Candidate, ...]:
        """Return the candidates of `proposals` in their order."""
        requests = [Request(self._task(proposal.structure), proposal.origin) for proposal in proposals]
        candidates = self._session.answer(requests)
        self.scored += candidates
        return candidates

    def _task(self, structure: DilationStructure) -> EvaluationTask:
        return self._session.task(structure, steps=self._steps, lineage=self._lineage)


def _verify(session: SearchSession, leaders: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Train the leaders from scratch, the hand-designed structure before all others; return them, best first.

    By successive halving: a proxy may mislead where a longer training does not, and the leaders of a
    super-network are close together.

    Args:
        session: The running search.
        leaders: Best first.
    """
    others = [
        Proposal(leader.structure, leader.origin)
        for leader in leaders
        if leader.structure != session.hand_designed and not leader.failed
    ]
    queue = [Proposal(session.hand_designed, Origin.HAND_DESIGNED), *others]
    if session.allowed is None:
        queue = queue[: session.config.population]
    return halve(session, queue, children=False)
