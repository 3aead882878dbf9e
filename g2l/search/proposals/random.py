"""Random search: the baseline of the other strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from g2l.search.budget import expected_evaluations
from g2l.search.candidates import Candidate, ranked

if TYPE_CHECKING:
    from g2l.search.engine import Search


def search_randomly(search: Search) -> tuple[Candidate, ...]:
    """Evaluate random structures, each trained for the proxy's budget; return the best ones.

    Ends where the allowed steps do; without a limit after as many evaluations as the genetic search of the
    same settings is expected to make.

    Args:
        search: The running search.

    Raises:
        OperationalError: None of the first ones could be trained.
    """
    size = search.config.population
    left = expected_evaluations(search.config)
    population: tuple[Candidate, ...] = ()
    batch = search.evaluate_first(min(size, left))
    while batch:
        population = ranked((*population, *batch))[:size]
        search.close_generation(population)
        left -= len(batch)
        count = size if search.allowed is not None else min(size, left)
        batch = search.evaluate(search.breeder().random(count))
    return population
