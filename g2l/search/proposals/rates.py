"""Search of rates: genetic as in the paper (G2L, section 3.2), with its operators, or random."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from g2l.config import GlobalSearchConfig, Strategy
from g2l.search.budget import expected_evaluations
from g2l.search.candidates import Candidate, Origin, Proposal, ranked
from g2l.search.engine import Search
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure

ATTEMPTS = 16
"""Draws after which a duplicate is accepted; it is then answered from memory, so it costs nothing."""


def search_genetically(search: Search) -> tuple[Candidate, ...]:
    """Breed generations of structures, each trained for the proxy's budget; return the last population.

    Ends after the generations of the settings, or where the allowed steps do.
    """
    config = search.config
    with search.progress.task("global search", config.generations + 1) as bar:
        population = ranked(_evaluate_first(search, config.population))
        search.close_generation(population)
        bar.advance()
        for generation in range(1, config.generations + 1):
            offspring = _evaluate(search, _breeder(search).offspring(population, config))
            population = ranked((*population, *offspring))[: config.population]
            if generation < config.generations:  # newcomers are parents of the next generation
                strong = within_margin(population, config.survival_margin)
                newcomers = _breeder(search).random(len(population) - len(strong))
                population = ranked((*strong, *_evaluate(search, newcomers)))
            search.close_generation(population)
            bar.advance()
            if not offspring:  # the steps are spent
                break
    return population


def search_randomly(search: Search) -> tuple[Candidate, ...]:
    """Evaluate random structures, each trained for the proxy's budget; return the best ones.

    Ends where the allowed steps do; without a limit after as many evaluations as the genetic search of the
    same settings is expected to make.
    """
    size = search.config.population
    left = expected_evaluations(search.config)
    population: tuple[Candidate, ...] = ()
    batch = _evaluate_first(search, min(size, left))
    while batch:
        population = ranked((*population, *batch))[:size]
        search.close_generation(population)
        left -= len(batch)
        count = size if search.allowed is not None else min(size, left)
        batch = _evaluate(search, _breeder(search).random(count))
    return population


STRATEGIES: Mapping[Strategy, Callable[[Search], tuple[Candidate, ...]]] = {
    Strategy.RANDOM: search_randomly,
    Strategy.GENETIC: search_genetically,
}
"""A strategy proposes, lets `Search.evaluate` score the proposals, decides who stays, and closes the
generation; it returns what it found, best first."""


def _evaluate(search: Search, proposals: Sequence[Proposal]) -> tuple[Candidate, ...]:
    return search.evaluate((search.task(one.structure), one.origin) for one in proposals)


def _evaluate_first(search: Search, count: int) -> tuple[Candidate, ...]:
    """Return the hand-designed structure and random ones, evaluated, `count` in all."""
    breeder = _breeder(search)
    hand_designed = breeder.given(search.hand_designed, Origin.HAND_DESIGNED)
    candidates = _evaluate(search, [hand_designed, *breeder.random(count - 1)])
    search.require_one(candidates)
    return candidates


def _breeder(search: Search) -> Breeder:
    assert isinstance(search.space, SearchSpace)  # shapes are not bred
    return Breeder(search.space, search.orders, search.generator)


class Breeder:
    """Draws the proposals of one generation: random structures, children and mutants.

    Deviation (METHOD, section 3, fix 5): a structure that is known, or proposed in this generation, is drawn
    again; the released code trains it again. `known` are the structures that have been evaluated.
    """

    def __init__(
        self, space: SearchSpace, known: Container[DilationStructure], generator: np.random.Generator
    ) -> None:
        self._space = space
        self._known = known
        self._generator = generator
        self._proposed: set[DilationStructure] = set()

    def given(self, structure: DilationStructure, origin: Origin) -> Proposal:
        """Return the proposal of a structure that is not drawn."""
        self._proposed.add(structure)
        return Proposal(structure, origin)

    def random(self, count: int) -> list[Proposal]:
        """Return at most `count` random structures; fewer where the space is nearly exhausted."""
        proposals: list[Proposal] = []
        for _ in range(count):
            for _ in range(ATTEMPTS):
                structure = self._space.sample(self._generator)
                if self._is_new(structure):
                    proposals.append(self.given(structure, Origin.RANDOM))
                    break
        return proposals

    def offspring(self, population: Sequence[Candidate], config: GlobalSearchConfig) -> list[Proposal]:
        """Return the children of the population, in pairs, and their mutants.

        Deviation (METHOD, section 3, fix 5): all parents are evaluated; the first selection of the released
        code precedes every evaluation.
        """
        children: list[Proposal] = []
        for _ in range((config.population + 1) // 2):
            children += [self.given(one, Origin.CROSSOVER) for one in self._pair(population)]
        mutants: list[Proposal] = []
        for child in children:
            if self._generator.random() < config.mutation_probability:
                mutant = self._mutant(child.structure, config.gene_mutation_probability)
                mutants.append(self.given(mutant, Origin.MUTATION))
        return children + mutants

    def _pair(self, population: Sequence[Candidate]) -> tuple[DilationStructure, DilationStructure]:
        fitness = [member.fitness for member in population]
        for _ in range(ATTEMPTS):
            first, second = roulette(fitness, 2, self._generator)
            left, right = two_point_crossover(
                population[first].structure, population[second].structure, self._generator
            )
            # Both parents keep to the limits of the space, but a child may take the large rates of both.
            pair = (self._space.from_rates(left.rates), self._space.from_rates(right.rates))
            if pair[0] != pair[1] and all(map(self._is_new, pair)):
                break
        return pair

    def _mutant(self, child: DilationStructure, probability: float) -> DilationStructure:
        for _ in range(ATTEMPTS):
            mutant = mutate(child, self._space, probability, self._generator)
            if self._is_new(mutant):
                break
        return mutant

    def _is_new(self, structure: DilationStructure) -> bool:
        return structure not in self._known and structure not in self._proposed


def roulette(fitness: Sequence[float], count: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Draw `count` indices with replacement, index i with probability f_i / Σ f.

    Values below 0 get probability 0; if none is above 0, all that are finite are equally likely.
    Deviation (METHOD, section 3, fix 2): the released code draws the neighbour of the one that was hit, so
    that the share of the leader goes to the last.
    """
    values = np.asarray(fitness, dtype=np.float64)
    weights = np.where(values > 0, values, 0.0)
    if not weights.any():
        weights = np.isfinite(values).astype(np.float64)
    if not weights.any():
        weights = np.ones_like(values)
    weights = weights / weights.max()  # keeps the sum finite and the shares exact for tiny values
    return generator.choice(len(values), size=count, p=weights / weights.sum())


def two_point_crossover(
    first: DilationStructure, second: DilationStructure, generator: np.random.Generator
) -> tuple[DilationStructure, DilationStructure]:
    """Return two children: the parents with one run of genes exchanged.

    The two cuts are drawn from the n boundaries of the genome closed to a ring, so that every run is equally
    likely, and never the whole genome (which would only swap the parents).
    Deviation (METHOD, section 3, fix 5): the caller crosses every pair; the released code skips the last.
    """
    genes = len(first.rates)
    if genes < 2:
        return first, second
    start, stop = np.sort(generator.choice(genes, size=2, replace=False))
    a, b = first.rates, second.rates
    return (
        DilationStructure.from_rates(a[:start] + b[start:stop] + a[stop:], first.shape),
        DilationStructure.from_rates(b[:start] + a[start:stop] + b[stop:], first.shape),
    )


def mutate(
    structure: DilationStructure, space: SearchSpace, probability: float, generator: np.random.Generator
) -> DilationStructure:
    """Return `structure` with each rate changed, with `probability`, to a different allowed rate.

    Deviation (METHOD, section 3, fix 3): the new rate is uniform over the other exponents; the released code
    draws a number in 1 … 1024 and snaps it, so that 62 % become 512 or 1024.
    """
    choices = len(space.rates)
    changed = generator.random(space.genes) < probability
    if choices == 1:
        return structure
    # A shift of 1 … choices − 1 around the ring of indices reaches every other rate equally often.
    shifts = generator.integers(1, choices, size=space.genes)
    indices = np.searchsorted(space.rates, structure.rates)
    mutated = np.where(changed, (indices + shifts) % choices, indices)
    return space.from_rates([space.rates[index] for index in mutated])


def within_margin(population: Sequence[Candidate], margin: float) -> tuple[Candidate, ...]:
    """Return the members, best first, at most `margin` points (10 in the paper) below the leader."""
    leader = population[0].fitness
    return tuple(member for member in population if not member.failed and leader - member.fitness <= margin)
