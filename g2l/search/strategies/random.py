"""Random search: the yardstick of every other strategy."""

from __future__ import annotations

from g2l.search.cost import expected_evaluations
from g2l.search.population import Candidate, ranked
from g2l.search.session import SearchSession
from g2l.search.survival import survivors


def search_randomly(session: SearchSession) -> tuple[Candidate, ...]:
    """Evaluate random structures, each trained for the proxy's budget; return the best ones.

    Ends where the allowed steps do; without such a limit after as many evaluations as the genetic search
    of the same settings is expected to make.

    Args:
        session: The running search.

    Raises:
        OperationalError: None of the first ones could be trained.
    """
    config = session.config
    total = expected_evaluations(config)
    evaluated = 0
    batch = session.evaluate_first(min(config.population, total))
    population = ranked(batch)
    with session.progress.task("random search", total) as bar:
        while batch:
            evaluated += len(batch)
            session.close_generation(population)
            bar.advance(len(batch))
            left = config.population if session.allowed is not None else total - evaluated
            batch = session.evaluate(session.breeder().random(min(config.population, left)))
            population = survivors((*population, *batch), config.population)
    return population
