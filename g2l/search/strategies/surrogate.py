"""Children that a model of the scores so far has chosen, after Snoek et al. (NIPS 2012) and Jin (2011)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from g2l.search.population import Candidate, Proposal, ranked
from g2l.search.session import SearchSession
from g2l.search.strategies.screening import optimistic_scores
from g2l.search.survival import survivors

SURPLUS = 16
"""Children that are bred for each one that is trained."""
UNSCREENED = 4
"""One of so many children is trained whatever the model says, so that it can be found wrong."""


def search_with_surrogate(session: SearchSession) -> tuple[Candidate, ...]:
    """Breed many more children than are trained, and let a model of all scores so far choose among them.

    A genetic search whose every generation breeds sixteen children for each place in the population. A
    regression on rates and receptive fields, fitted on all scores for the proxy's budget, says what each
    might score (Jin 2011 calls this pre-selection; the optimism is that of Bayesian optimisation, Snoek et
    al. 2012). Three of four places go to the most promising children, the fourth to ones that were bred
    and not looked at.

    Costs one proxy for each candidate, like a genetic search; the model costs milliseconds. Ends where the
    allowed steps do; without such a limit after the generations of the settings.

    Args:
        session: The running search.

    Returns:
        The last population, best first.

    Raises:
        OperationalError: None of the first population could be trained.
    """
    size, generation = session.config.population, 0
    population = ranked(session.evaluate_first(size))
    session.close_generation(population)
    while session.allowed is not None or generation < session.config.generations:
        generation += 1
        offspring = session.evaluate(_screened(session, _children(session, population), size))
        if not offspring:  # nothing is left to spend, or nothing new to find
            break
        population = survivors((*population, *offspring), size)
        session.close_generation(population)
    return population


def _children(session: SearchSession, population: Sequence[Candidate]) -> list[Proposal]:
    """Return children that were never trained, many more than there are places."""
    surplus = session.config.replace(population=SURPLUS * session.config.population)
    breeder = session.breeder()
    bred = [*breeder.offspring(population, surplus), *breeder.random(session.config.population)]
    known = {candidate.structure for candidate in _scores(session)}
    distinct = {child.structure: child for child in bred if child.structure not in known}
    return list(distinct.values())


def _screened(session: SearchSession, children: Sequence[Proposal], count: int) -> list[Proposal]:
    """Return `count` children: those that might score best, then a few that were not looked at."""
    scores = [candidate for candidate in _scores(session) if not candidate.failed]
    free = -(-count // UNSCREENED)
    unseen, rest = children[:free], children[free:]
    if len(rest) <= count - free or len(scores) < 2:
        return list(children[:count])
    promise = optimistic_scores(scores, [child.structure for child in rest], session.space.topology)
    best = np.argsort(-promise, kind="stable")[: count - free]
    return [*(rest[place] for place in best), *unseen]


def _scores(session: SearchSession) -> list[Candidate]:
    """Return all that were trained for the proxy's budget, in an order that no worker's speed can change."""
    alike = [c for c in session.candidates if c.evaluation.task == session.task(c.structure)]
    return sorted(alike, key=lambda candidate: candidate.order)
