"""The genetic operators: selection, crossover, mutation, survival; random search."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_landscapes import BUDGET, Landscape, evaluation, score
from small_searches import HAND, TARGET, config, random_search, search
from small_searches import SPACE as SMALL_SPACE

from g2l.config import Strategy
from g2l.evaluation import EvaluationStatus
from g2l.search.budget import expected_evaluations
from g2l.search.candidates import Candidate, Origin, diversity, fitness_of, ranked
from g2l.search.proposals.rates import Breeder, mutate, roulette, two_point_crossover, within_margin
from g2l.search.space import SearchSpace
from g2l.structure import DilationStructure, LayerTopology

SPACE = SearchSpace(LayerTopology(), (4, 3), (1, 2, 4, 8, 16))


def structures(space=SPACE):
    genome = st.lists(st.sampled_from(space.rates), min_size=space.genes, max_size=space.genes)
    return genome.map(space.from_rates)


def candidate(fitness: float, order: int) -> Candidate:
    structure = DilationStructure(((order + 1,),))
    if fitness == -math.inf:
        failure = evaluation(structure, 0, metrics={}, status=EvaluationStatus.FAILED, reason="broken")
        return Candidate(failure, fitness, order, Origin.RANDOM)
    return Candidate(evaluation(structure, fitness), fitness, order, Origin.RANDOM)


SCORES = st.one_of(st.integers(0, 5).map(float), st.just(-math.inf))


def crowd():
    """Candidates of few fitnesses, so that ties and failures are common; the first one ran."""
    return st.lists(SCORES, min_size=1, max_size=14).map(
        lambda scores: [
            candidate(max(one, 0.0) if order == 0 else one, order) for order, one in enumerate(scores)
        ]
    )


def frequencies(fitness, draws=40_000):
    drawn = roulette(fitness, draws, np.random.default_rng(1))
    return np.bincount(drawn, minlength=len(fitness)) / draws


def test_roulette_draws_in_proportion_to_fitness():
    fitness = [10.0, 20.0, 30.0, 40.0]
    assert frequencies(fitness) == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.01)


@pytest.mark.parametrize(
    ("fitness", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]),
        ([-5.0, 30.0, 10.0], [0.0, 0.75, 0.25]),
        ([-5.0, -1.0], [0.5, 0.5]),
        ([-math.inf, 5.0, 15.0], [0.0, 0.25, 0.75]),
        ([-math.inf, 0.0, 0.0], [0.0, 0.5, 0.5]),
        ([-math.inf, -math.inf], [0.5, 0.5]),
        ([5e-324, 5e-324], [0.5, 0.5]),
        ([1e308, 1e308], [0.5, 0.5]),
        ([7.0], [1.0]),
    ],
)
def test_roulette_copes_with_zero_negative_failed_and_extreme(fitness, expected):
    assert frequencies(fitness, 4000) == pytest.approx(expected, abs=0.03)


@given(structures(), structures(), st.integers(0, 2**32 - 1))
def test_crossover_exchanges_one_run_of_genes(first, second, seed):
    left, right = two_point_crossover(first, second, np.random.default_rng(seed))
    assert left.shape == right.shape == first.shape
    pairs = zip(left.rates, right.rates, first.rates, second.rates, strict=True)
    assert all((a, b) in ((p, q), (q, p)) for a, b, p, q in pairs)


def test_crossover_of_disjoint_parents_cuts_everywhere_and_never_swaps_all():
    first, second = SPACE.from_rates([1] * 7), SPACE.from_rates([2] * 7)
    generator = np.random.default_rng(0)
    runs = {two_point_crossover(first, second, generator)[0].rates for _ in range(2000)}
    assert len(runs) == math.comb(7, 2)  # every pair of the 7 boundaries of the ring
    assert all({1, 2} == set(rates) for rates in runs)


@given(structures(), st.integers(0, 2**32 - 1))
def test_mutation_with_certainty_changes_every_gene_within_the_space(structure, seed):
    mutant = mutate(structure, SPACE, 1.0, np.random.default_rng(seed))
    assert SPACE.contains(mutant)
    assert all(a != b for a, b in zip(mutant.rates, structure.rates, strict=True))


def test_mutation_is_uniform_over_the_other_exponents():
    space = SearchSpace.powers_of_two(LayerTopology(), (20,), max_exponent=10, longest=5000)
    start = space.from_rates([512] * 20)
    generator = np.random.default_rng(2)
    rates = [rate for _ in range(2000) for rate in mutate(start, space, 0.2, generator).rates]
    changed = [rate for rate in rates if rate != 512]
    assert len(changed) / len(rates) == pytest.approx(0.2, abs=0.01)
    expected = len(changed) / 10
    counts = np.array([changed.count(rate) for rate in space.rates if rate != 512])
    assert float(((counts - expected) ** 2 / expected).sum()) < 23.6  # 99.5 %, 9 degrees of freedom


@given(crowd())
def test_the_order_goes_by_fitness(members):
    by_fitness = sorted(members, key=lambda member: (-member.fitness, member.order))
    assert list(ranked(members)) == by_fitness
    leader = by_fitness[0].fitness
    strong = [member for member in by_fitness if leader - member.fitness <= 2.0]
    assert list(within_margin(ranked(members), 2.0)) == strong


@given(st.lists(structures(), max_size=6))
def test_diversity_is_the_mean_over_pairs(members):
    pairs = [
        sum(a != b for a, b in zip(left.rates, right.rates, strict=True)) / SPACE.genes
        for number, left in enumerate(members)
        for right in members[:number]
    ]
    assert diversity(members) == pytest.approx(sum(pairs) / len(pairs) if pairs else 0.0)


def test_fitness_is_one_metric_and_minus_infinity_on_failure():
    structure = DilationStructure(((1,),))
    done = evaluation(structure, 0, metrics={"f1@10": 60.0, "f1@25": 50.0, "f1@50": 40.0, "edit": 7.0})
    assert fitness_of(done, "f1") == pytest.approx(50.0)
    assert fitness_of(done, "edit") == 7.0
    assert candidate(-math.inf, 0).failed
    assert fitness_of(candidate(-math.inf, 0).evaluation, "edit") == -math.inf


def test_mutants_are_spawned_by_children_with_their_chance():
    parents = [
        Candidate(evaluation(SMALL_SPACE.sample(np.random.default_rng(i)), 50.0), 50.0, i, Origin.RANDOM)
        for i in range(40)
    ]
    breeder = Breeder(SMALL_SPACE, (), np.random.default_rng(0))
    proposals = breeder.offspring(parents, config(population=400, mutation_probability=0.2))
    origins = Counter(proposal.origin for proposal in proposals)
    assert origins[Origin.CROSSOVER] == 400
    assert origins[Origin.MUTATION] / 400 == pytest.approx(0.2, abs=0.05)
    assert len({proposal.structure for proposal in proposals}) == len(proposals)


LIMITED = SearchSpace(
    LayerTopology(), (4, 4), (1, 2, 4, 8, 16, 32), max_receptive_field=81, max_look_ahead=45
)
LIMITED_TARGET = LIMITED.from_rates([4, 1, 16, 2, 8, 4, 1, 4])


def test_children_and_mutants_keep_to_the_limits():
    generator = np.random.default_rng(0)
    structures = [LIMITED.sample(generator) for _ in range(20)]
    parents = ranked(
        Candidate(evaluation(structure, 50.0), 50.0, order, Origin.RANDOM)
        for order, structure in enumerate(structures)
    )
    breeder = Breeder(LIMITED, (), generator)
    proposals = breeder.offspring(parents, config(population=200, mutation_probability=0.5))
    assert all(LIMITED.contains(proposal.structure) for proposal in proposals)
    assert max(LIMITED.topology.receptive_field(proposal.structure).frames for proposal in proposals) == 81


def test_random_search_evaluates_exactly_its_budget():
    fitness = Landscape(TARGET)
    result = random_search(fitness, evaluations=10, config=config(population=4))
    assert result.evaluations == len(fitness.calls) == len(set(fitness.calls)) == 10
    assert result.steps == 10 * BUDGET.amount
    assert fitness.calls[0] == HAND.key
    assert [summary.evaluations for summary in result.generations] == [4, 4, 2]
    assert len(result.population) == 4
    scores = [score(DilationStructure(e.structure.stages), TARGET) for e in result.population]
    assert scores == sorted(scores, reverse=True)


def test_random_search_without_a_limit_makes_as_many_evaluations_as_the_genetic_one_is_expected_to():
    settings = config(strategy=Strategy.RANDOM)
    assert search(Landscape(TARGET), config=settings).evaluations == expected_evaluations(settings)


def test_random_search_ends_where_the_space_does():
    space = SearchSpace(LayerTopology(), (1,), (1, 2, 4))
    result = random_search(
        Landscape(space.from_rates([4])),
        evaluations=50,
        space=space,
        config=config(population=2),
        hand_designed=space.from_rates([1]),
    )
    assert result.best.structure.rates == (4,)
    assert result.evaluations == 3
