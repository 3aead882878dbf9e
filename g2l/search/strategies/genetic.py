"""The genetic algorithm of the paper (G2L, section 3.2)."""

from __future__ import annotations

from g2l.search.population import Candidate, ranked
from g2l.search.session import SearchSession
from g2l.search.survival import survivors, within_margin


def search_genetically(session: SearchSession) -> tuple[Candidate, ...]:
    """Breed generations of structures, each trained for the proxy's budget; return the last population.

    Ends after the generations of the settings, or where the allowed steps do.

    Args:
        session: The running search.

    Raises:
        OperationalError: None of the first population could be trained.
    """
    config = session.config
    with session.progress.task("global search", config.generations + 1) as bar:
        population = ranked(session.evaluate_first(config.population))
        session.close_generation(population)
        bar.advance()
        for generation in range(1, config.generations + 1):
            offspring = session.evaluate(session.breeder().offspring(population, config))
            population = survivors((*population, *offspring), config.population)
            if generation < config.generations:  # newcomers are there to be parents of the next one
                strong = within_margin(population, config.survival_margin)
                newcomers = session.breeder().random(len(population) - len(strong))
                population = ranked((*strong, *session.evaluate(newcomers)))
            session.close_generation(population)
            bar.advance()
            if not offspring:  # nothing was left to spend
                break
    return population
