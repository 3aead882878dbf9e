"""New structures: random ones, children and mutants, none proposed twice if it can be helped."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from g2l.search.crossover import two_point_crossover
from g2l.search.mutation import mutate
from g2l.search.population import Candidate, Origin, Proposal
from g2l.search.selection import roulette
from g2l.search.space import SearchSpace
from g2l.search_config import GlobalSearchConfig
from g2l.structure import DilationStructure

ATTEMPTS = 16
"""Draws after which a duplicate is accepted; it then comes out of the cache, so it costs nothing."""


class Breeder:
    """Draws the proposals of one generation.

    Deviation (METHOD, section 3, fix 5): a structure that is known already, or proposed in this
    generation, is drawn again; the released code trains it again.

    Args:
        space: Allowed structures.
        known: Structures that have been evaluated.
        generator: Source of randomness.
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
        return self._propose(origin, structure)[0]

    def random(self, count: int) -> list[Proposal]:
        """Return at most `count` random structures; fewer where the space is all but exhausted."""
        proposals: list[Proposal] = []
        for _ in range(count):
            for _ in range(ATTEMPTS):
                structure = self._space.sample(self._generator)
                if self._is_new(structure):
                    proposals += self._propose(Origin.RANDOM, structure)
                    break
        return proposals

    def offspring(self, population: Sequence[Candidate], config: GlobalSearchConfig) -> list[Proposal]:
        """Return the children of the population and the mutants that these spawn.

        Args:
            population: Parents, all evaluated: deviation (METHOD, section 3, fix 5) from the released
                code, whose first selection comes before any evaluation.
            config: Number of children (rounded up to pairs) and chances of mutation.
        """
        children: list[Proposal] = []
        for _ in range((config.population + 1) // 2):
            children += self._propose(Origin.CROSSOVER, *self._pair(population))
        mutants: list[Proposal] = []
        for child in children:
            if self._generator.random() < config.mutation_probability:
                mutant = self._mutant(child.structure, config.gene_mutation_probability)
                mutants += self._propose(Origin.MUTATION, mutant)
        return children + mutants

    def child(self, population: Sequence[Candidate], config: GlobalSearchConfig) -> Proposal:
        """Return one child of the population, mutated where neither twin is new.

        Args:
            population: Parents, all evaluated, two or more.
            config: Chances of mutation.
        """
        twins = self._pair(population)
        child = next(filter(self._is_new, twins), twins[0])
        mutated = self._generator.random() < config.mutation_probability
        if not mutated and self._is_new(child):
            return self._propose(Origin.CROSSOVER, child)[0]
        mutant = self._mutant(child, config.gene_mutation_probability)
        return self._propose(Origin.MUTATION, mutant)[0]

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

    def _propose(self, origin: Origin, *structures: DilationStructure) -> list[Proposal]:
        self._proposed.update(structures)
        return [Proposal(structure, origin) for structure in structures]
