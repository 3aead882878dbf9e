"""One super-network for all structures, after Bender et al. (ICML 2018) and Guo et al. (ECCV 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from g2l.evaluation import TrainingSegment
from g2l.search.budget import REDUCTION, SUPER_NETWORK_PROXIES, rung_budgets, verification_steps
from g2l.search.candidates import Candidate, Origin, Proposal, ranked
from g2l.structure import DilationStructure

if TYPE_CHECKING:
    from g2l.search.loop import Search

ROUNDS = 4
"""Generations of scores that cost no steps, for each one of the settings."""


def search_one_shot(search: Search) -> tuple[Candidate, ...]:
    """Search over the scores of one network trained for all structures; verify the best from scratch.

    Rates change no shape of a weight. So one network is trained with rates drawn anew for every step, each
    layer's alone and uniformly (Guo et al.: what is drawn alike is ranked fairly), and the score of a
    structure is that of this network with its rates. A genetic search ranks structures by such scores. The
    best are then trained from their initialisation, and only those scores decide.

    The network is trained like a final one (three proxies where that length is unknown), for at most half of
    the allowed steps; the rest is spent on the verification.

    Args:
        search: The running search.

    Returns:
        The verified ones, best first, by their longest training.

    Raises:
        OperationalError: None of the first ones could be scored, or none of the best be trained.
    """
    config = search.config
    steps = search.full_steps or SUPER_NETWORK_PROXIES * search.proxy
    if search.allowed is not None:
        steps = min(steps, (search.allowed - search.budget.spent) // 2)
    history = (TrainingSegment(until=steps, rates=search.space.rates),)

    def score(proposals: Sequence[Proposal]) -> tuple[Candidate, ...]:
        return search.evaluate(proposals, steps=steps, history=history)

    proposals = search.first_proposals(config.population)
    # One alone first: workers that start together would each train the network.
    scored = [*score(proposals[:1]), *score(proposals[1:])]
    search.require_one(scored)
    population = ranked(scored)
    search.close_generation(population)
    for _ in range(ROUNDS * config.generations):
        offspring = score(search.breeder().offspring(population, config))
        scored += offspring
        population = ranked((*population, *offspring))[: config.population]
        search.close_generation(population)
    return verify(search, [one for one in ranked(scored) if not one.failed])


def verify(search: Search, leaders: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Train the leaders from scratch by successive halving; return all that were trained, best first.

    A short training may mislead where a longer one does not, and the leaders of a super-network are close
    together. So all are trained for the proxy, the best third of them twice and the best third of those four
    times as long; each training continues. As many are verified as the allowed steps buy, as many as the
    population without a limit: the hand-designed structure first, then by rank.

    Args:
        search: The running search.
        leaders: Best first, none of them failed.

    Returns:
        Those of the longest trainings first. One that failed when it was promoted keeps its earlier place.

    Raises:
        OperationalError: None could be trained for the proxy.
    """
    others = [leader for leader in leaders if leader.structure != search.hand_designed]
    queue = [Proposal(search.hand_designed, Origin.HAND_DESIGNED)]
    queue += [Proposal(leader.structure, leader.origin) for leader in others]
    rungs = rung_budgets(search.proxy, search.full_steps)
    found: dict[DilationStructure, Candidate] = {}
    for number, steps in enumerate(rungs):
        if number == 0:
            queue = queue[: _affordable(search, len(queue), rungs)]
        rung = ranked(search.evaluate(queue, steps=steps, provisional=number + 1 < len(rungs)))
        if number == 0:
            search.require_one(rung)
        trained = [candidate for candidate in rung if not candidate.failed]
        found = {candidate.structure: candidate for candidate in trained} | {
            structure: candidate
            for structure, candidate in found.items()
            if structure not in {one.structure for one in trained}
        }
        for candidate in rung:
            found.setdefault(candidate.structure, candidate)
        promoted = trained[: len(rung) // REDUCTION]
        search.pruned += 0 if number + 1 == len(rungs) else len(rung) - len(promoted)
        search.close_generation(tuple(found.values())[: search.config.population])
        queue = [Proposal(candidate.structure, candidate.origin) for candidate in promoted]
        if not queue:
            break
    return tuple(found.values())


def _affordable(search: Search, most: int, rungs: tuple[int, ...]) -> int:
    """Return how many structures can be verified with what is left, at least one."""
    if search.allowed is None:
        return min(most, search.config.population)
    left = search.allowed - search.budget.spent
    return max([1, *(count for count in range(1, most + 1) if verification_steps(count, rungs) <= left)])
