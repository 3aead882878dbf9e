from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from g2l.search import feasible

RATES = st.sets(st.integers(1, 20), min_size=1, max_size=5).map(lambda rates: tuple(sorted(rates)))


def spaces():
    """Rates, genes and a limit that the smallest rates keep to."""
    sized = st.tuples(RATES, st.integers(1, 4))
    return sized.flatmap(
        lambda size: st.tuples(
            st.just(size[0]),
            st.just(size[1]),
            st.integers(size[1] * size[0][0], size[1] * size[0][-1]),
        )
    )


def genomes(rates, genes, limit):
    return [genome for genome in product(rates, repeat=genes) if sum(genome) <= limit]


@given(spaces())
def test_genomes_are_counted(space):
    assert feasible.count(*space) == len(genomes(*space))


def test_counts_beyond_what_a_float_holds_are_given():
    found = feasible.count((1, 2, 4, 8), 600, 600 * 8)
    assert abs(found - 4**600) < 4**600 // 10**10
    assert feasible.draw((1, 2, 4, 8), 600, 600, np.random.default_rng(0)) == [1] * 600


@given(spaces(), st.integers(0, 2**32 - 1))
def test_draws_keep_to_the_limit(space, seed):
    assert tuple(feasible.draw(*space, np.random.default_rng(seed))) in genomes(*space)


def test_every_genome_within_the_limit_is_equally_likely():
    space = ((1, 2, 4, 8), 3, 9)
    generator = np.random.default_rng(0)
    counts = Counter(tuple(feasible.draw(*space, generator)) for _ in range(20_000))
    assert counts.keys() == set(genomes(*space))
    expected = 20_000 / len(counts)
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < len(counts) + 3 * (2 * len(counts)) ** 0.5


def test_the_tightest_limit_leaves_one_genome():
    rates = tuple(2**e for e in range(11))
    assert feasible.draw(rates, 40, 40, np.random.default_rng(0)) == [1] * 40
    assert feasible.count(rates, 40, 40) == 1


@given(spaces(), st.data())
def test_lowering_changes_only_what_exceeds(space, data):
    rates, genes, limit = space
    genome = data.draw(st.lists(st.sampled_from(rates), min_size=genes, max_size=genes))
    lowered = feasible.lower(genome, rates, limit)
    assert tuple(lowered) in genomes(*space)
    assert all(after <= before for after, before in zip(lowered, genome, strict=True))
    assert feasible.lower(lowered, rates, limit) == lowered
    if sum(genome) <= limit:
        assert lowered == genome


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.data())
def test_of_powers_of_two_no_genome_is_fewer_octaves_away(exponents, data):
    rates = (1, 2, 4, 8, 16, 32)
    genome = [2**exponent for exponent in exponents]
    limit = data.draw(st.integers(len(genome), sum(genome)))

    def octaves(other):
        return sum(abs(np.log2(a) - np.log2(b)) for a, b in zip(genome, other, strict=True))

    nearest = min(map(octaves, genomes(rates, len(genome), limit)))
    assert octaves(feasible.lower(genome, rates, limit)) == nearest


def test_lowering_goes_from_the_largest_and_the_last():
    rates = (1, 2, 4, 8)
    assert feasible.lower([8, 1, 8, 2], rates, 18) == [8, 1, 4, 2]
    assert feasible.lower([8, 1, 8, 2], rates, 12) == [4, 1, 4, 2]
    assert feasible.lower([100, 1], rates, 12) == [8, 1]
