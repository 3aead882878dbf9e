from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.search import feasible
from g2l.structure import LayerTopology

RATES = st.sets(st.integers(1, 20), min_size=1, max_size=5).map(lambda rates: tuple(sorted(rates)))
WIDTHS = st.lists(st.integers(1, 3), min_size=1, max_size=3).filter(lambda widths: sum(widths) <= 5)


def serial(genes):
    return LayerTopology.serial((genes,)).layers


def of_widths(widths):
    """Layers with so many rates side by side each, the places of which lie apart as in MS-TCN++."""
    places = iter(range(sum(widths)))
    layers = [[] for _ in widths]
    for column in range(max(widths)):
        for layer, width in zip(layers, widths, strict=True):
            if column < width:
                layer.append(next(places))
    return tuple(map(tuple, layers))


@st.composite
def spaces(draw, widths=WIDTHS):
    """Rates, layers and a limit that the smallest rates keep to."""
    rates, layers = draw(RATES), of_widths(draw(widths))
    return rates, layers, draw(st.integers(len(layers) * rates[0], len(layers) * rates[-1]))


def span(genome, layers):
    return sum(max(genome[place] for place in layer) for layer in layers)


def genomes(rates, layers, limit):
    every = product(rates, repeat=sum(map(len, layers)))
    return [genome for genome in every if span(genome, layers) <= limit]


@given(spaces())
def test_genomes_are_counted(space):
    assert feasible.count(*space) == len(genomes(*space))


def test_counts_beyond_what_a_float_holds_are_given():
    found = feasible.count((1, 2, 4, 8), serial(600), 600 * 8)
    assert abs(found - 4**600) < 4**600 // 10**10
    assert feasible.draw((1, 2, 4, 8), serial(600), 600, np.random.default_rng(0)) == [1] * 600


@given(spaces(), st.integers(0, 2**32 - 1))
def test_draws_keep_to_the_limit(space, seed):
    assert tuple(feasible.draw(*space, np.random.default_rng(seed))) in genomes(*space)


@pytest.mark.parametrize("widths", [(1, 1, 1), (2, 1), (1, 2), (3,)])
def test_every_genome_within_the_limit_is_equally_likely(widths):
    space = ((1, 2, 4, 8), of_widths(widths), 9)
    generator = np.random.default_rng(0)
    counts = Counter(tuple(feasible.draw(*space, generator)) for _ in range(20_000))
    assert counts.keys() == set(genomes(*space))
    expected = 20_000 / len(counts)
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < len(counts) + 3 * (2 * len(counts)) ** 0.5


def test_draws_of_a_serial_network_are_what_running_searches_were_told():
    generator = np.random.default_rng(7)
    drawn = [feasible.draw((1, 2, 4, 8, 16), serial(6), 30, generator) for _ in range(3)]
    assert drawn == [[4, 8, 4, 1, 2, 8], [1, 8, 8, 2, 1, 2], [1, 2, 2, 4, 16, 4]]
    assert feasible.count((1, 2, 4, 8, 16), serial(6), 30) == 5149


def test_the_tightest_limit_leaves_one_genome():
    rates = tuple(2**e for e in range(11))
    assert feasible.draw(rates, serial(40), 40, np.random.default_rng(0)) == [1] * 40
    assert feasible.count(rates, serial(40), 40) == 1


@given(spaces(), st.data())
def test_lowering_changes_only_what_exceeds(space, data):
    rates, layers, limit = space
    genes = sum(map(len, layers))
    genome = data.draw(st.lists(st.sampled_from(rates), min_size=genes, max_size=genes))
    lowered = feasible.lower(genome, *space)
    assert tuple(lowered) in genomes(*space)
    assert all(after <= before for after, before in zip(lowered, genome, strict=True))
    assert feasible.lower(lowered, *space) == lowered
    if span(genome, layers) <= limit:
        assert lowered == genome


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.data())
def test_of_powers_of_two_no_genome_is_fewer_octaves_away(exponents, data):
    rates = (1, 2, 4, 8, 16, 32)
    genome = [2**exponent for exponent in exponents]
    space = (rates, serial(len(genome)), data.draw(st.integers(len(genome), sum(genome))))

    def octaves(other):
        return sum(abs(np.log2(a) - np.log2(b)) for a, b in zip(genome, other, strict=True))

    nearest = min(map(octaves, genomes(*space)))
    assert octaves(feasible.lower(genome, *space)) == nearest


def test_lowering_goes_from_the_largest_and_the_last():
    rates = (1, 2, 4, 8)
    assert feasible.lower([8, 1, 8, 2], rates, serial(4), 18) == [8, 1, 4, 2]
    assert feasible.lower([8, 1, 8, 2], rates, serial(4), 12) == [4, 1, 4, 2]
    assert feasible.lower([100, 1], rates, serial(2), 12) == [8, 1]


def test_of_rates_side_by_side_the_largest_are_lowered():
    rates, layers = (1, 2, 4, 8), ((0, 2), (1, 3), (4,))
    assert feasible.lower([8, 1, 2, 4, 4], rates, layers, 16) == [8, 1, 2, 4, 4]
    assert feasible.lower([8, 1, 2, 4, 4], rates, layers, 12) == [4, 1, 2, 4, 4]
    assert feasible.lower([8, 1, 8, 4, 2], rates, layers, 10) == [4, 1, 4, 4, 2]
    assert feasible.lower([8, 1, 8, 4, 2], rates, layers, 6) == [2, 1, 2, 2, 2]
