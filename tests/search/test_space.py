from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.config import BackboneConfig, GlobalSearchConfig
from g2l.errors import InputError
from g2l.search import space as space_module
from g2l.search.proposals.rates import mutate
from g2l.search.space import SearchSpace, check_limits
from g2l.structure import DilationStructure, LayerTopology


@pytest.mark.parametrize(
    ("max_exponent", "longest", "rates"),
    [
        (10, 100_000, tuple(2**e for e in range(11))),
        (10, 300, (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        (10, 256, (1, 2, 4, 8, 16, 32, 64, 128)),
        (10, 257, (1, 2, 4, 8, 16, 32, 64, 128, 256)),
        (3, 300, (1, 2, 4, 8)),
        (0, 300, (1,)),
        (10, 1, (1,)),
        (10, 2, (1,)),
        (10, 3, (1, 2)),
    ],
)
def test_rates_stay_below_the_longest_sequence(max_exponent, longest, rates):
    assert (
        SearchSpace.powers_of_two(LayerTopology(), (2,), max_exponent=max_exponent, longest=longest).rates
        == rates
    )


def test_samples_are_uniform_over_exponents():
    space = SearchSpace.powers_of_two(LayerTopology(), (20,), max_exponent=10, longest=5000)
    generator = np.random.default_rng(0)
    drawn = [rate for _ in range(1000) for rate in space.sample(generator).rates]
    counts = np.array([drawn.count(rate) for rate in space.rates])
    expected = len(drawn) / len(space.rates)
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 25.2  # 99.5 % of chi-square with 10 degrees of freedom


@given(st.lists(st.integers(1, 5000), min_size=3, max_size=3), st.integers(1, 3000))
def test_projection_lands_in_the_space_and_stays_there(rates, longest):
    space = SearchSpace.powers_of_two(LayerTopology(), (2, 1), max_exponent=10, longest=longest)
    projected = space.project(DilationStructure.from_rates(rates, (2, 1)))
    assert space.contains(projected)
    assert space.project(projected) == projected
    assert all(after <= before for after, before in zip(projected.rates, rates, strict=True))


@pytest.mark.parametrize("rates", [(), (0, 1), (2, 1), (1, 1)])
def test_rates_must_ascend(rates):
    with pytest.raises(InputError, match="`rates` must be ascending integers >= 1"):
        SearchSpace(LayerTopology(), (1,), rates)


LIMITED = SearchSpace(LayerTopology(), (2, 2), (1, 2, 4, 8), max_receptive_field=31, max_look_ahead=12)


@given(st.lists(st.integers(1, 50), min_size=4, max_size=4), st.integers(0, 2**32 - 1))
def test_whatever_a_limited_space_makes_keeps_to_the_limits(rates, seed):
    generator = np.random.default_rng(seed)
    drawn = LIMITED.sample(generator)
    projected = LIMITED.project(DilationStructure.from_rates(rates, (2, 2)))
    built = LIMITED.from_rates(projected.rates[::-1])
    for structure in (drawn, projected, built, mutate(drawn, LIMITED, 1.0, generator)):
        assert LIMITED.contains(structure)
        assert LIMITED.topology.receptive_field(structure).frames <= 31
        assert LIMITED.topology.receptive_field(structure).future <= 12
    assert LIMITED.project(drawn) == drawn


def test_draws_within_a_tight_limit_differ():
    space = SearchSpace.powers_of_two(
        LayerTopology(), (10,) * 4, max_exponent=10, longest=5000, max_receptive_field=401
    )
    generator = np.random.default_rng(0)
    drawn = [space.sample(generator) for _ in range(50)]
    assert len(set(drawn)) == 50
    assert all(space.contains(one) for one in drawn)
    assert max(max(one.rates) for one in drawn) >= 8


def test_rates_that_no_structure_within_the_limits_has_are_left_out():
    space = SearchSpace.powers_of_two(LayerTopology(), (4,), max_exponent=10, longest=999, max_look_ahead=19)
    assert space.rates == (1, 2, 4, 8, 16)
    assert (
        SearchSpace.powers_of_two(
            LayerTopology(), (4,), max_exponent=10, longest=999, max_look_ahead=18
        ).rates[-1]
        == 8
    )
    assert (
        SearchSpace.powers_of_two(
            LayerTopology(), (4,), max_exponent=3, longest=999, max_look_ahead=999
        ).rates[-1]
        == 8
    )


def test_a_limit_that_nothing_keeps_to_is_refused():
    message = "`max_receptive_field` must be >= 81 frames, what 40 layers of rate 1 have, but is 80 instead"
    with pytest.raises(InputError, match=message):
        SearchSpace.powers_of_two(
            LayerTopology(), (10,) * 4, max_exponent=10, longest=999, max_receptive_field=80
        )
    with pytest.raises(
        InputError, match="`max_look_ahead` must be >= 8 frames, what 4 layers of rate 2 have"
    ):
        SearchSpace(LayerTopology(), (4,), (2, 4), max_look_ahead=7)
    tightest = SearchSpace(LayerTopology(), (4,), (2, 4), max_look_ahead=8)
    assert tightest.sample(np.random.default_rng(0)).rates == (2,) * 4


DUAL = LayerTopology(parallel=2)
DUAL_SHAPE = (4, 1)
"""Two dual layers, the places of whose rates are (0, 2) and (1, 3), and one of a single rate."""


@given(st.lists(st.integers(1, 50), min_size=5, max_size=5), st.integers(0, 2**32 - 1), st.booleans())
def test_limits_of_dual_layers_are_on_the_further_rate(rates, seed, causal):
    topology = replace(DUAL, causal=causal)
    space = SearchSpace(topology, DUAL_SHAPE, (1, 2, 4, 8), max_receptive_field=27)
    generator = np.random.default_rng(seed)
    drawn, built = space.sample(generator), space.from_rates(rates)
    projected = space.project(DilationStructure.from_rates(rates, (4, 1)))
    assert topology.receptive_field(built).frames <= 27
    for structure in (drawn, projected, mutate(drawn, space, 1.0, generator)):
        assert space.contains(structure)
        assert topology.receptive_field(structure).frames <= 27


def test_a_causal_network_keeps_any_look_ahead():
    space = SearchSpace(replace(DUAL, causal=True), DUAL_SHAPE, (1, 2, 4, 8), max_look_ahead=0)
    assert space.max_span is None
    message = "`max_receptive_field` must be >= 7 frames, what 3 layers of rate 1 have, but is 6 instead"
    with pytest.raises(InputError, match=message):
        SearchSpace(space.topology, DUAL_SHAPE, (1, 2), max_receptive_field=6)


@pytest.mark.parametrize("limit", ["max_receptive_field", "max_look_ahead"])
def test_limits_that_a_backbone_cannot_keep_are_refused(limit):
    search = GlobalSearchConfig(**{limit: 3})
    with pytest.raises(InputError, match=f"`{limit}` cannot be kept by asformer, whose normalisation sees"):
        check_limits(search, BackboneConfig(name="asformer"), (2,))
    with pytest.raises(InputError, match=rf"`{limit}` must be >= \d+ frames, what 41 layers of rate 1 have"):
        check_limits(search, BackboneConfig(name="ms-tcn++"), (22, 10, 10, 10))
    check_limits(GlobalSearchConfig(), BackboneConfig(name="asformer"), (2,))
    check_limits(GlobalSearchConfig(max_look_ahead=0), BackboneConfig(causal=True), (2,))


RATES = st.sets(st.integers(1, 20), min_size=1, max_size=5).map(lambda rates: tuple(sorted(rates)))
WIDTHS = st.lists(st.integers(1, 3), min_size=1, max_size=3).filter(lambda widths: sum(widths) <= 5)


def serial(genes):
    return LayerTopology().layers((genes,))


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


@given(spaces(), st.data())
def test_lowering_changes_only_what_exceeds(space, data):
    rates, layers, limit = space
    genes = sum(map(len, layers))
    genome = data.draw(st.lists(st.sampled_from(rates), min_size=genes, max_size=genes))
    lowered = space_module.lower(genome, *space)
    assert tuple(lowered) in genomes(*space)
    assert all(after <= before for after, before in zip(lowered, genome, strict=True))
    assert space_module.lower(lowered, *space) == lowered
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
    assert octaves(space_module.lower(genome, *space)) == nearest


def test_lowering_goes_from_the_largest_and_the_last():
    rates = (1, 2, 4, 8)
    assert space_module.lower([8, 1, 8, 2], rates, serial(4), 18) == [8, 1, 4, 2]
    assert space_module.lower([8, 1, 8, 2], rates, serial(4), 12) == [4, 1, 4, 2]
    assert space_module.lower([100, 1], rates, serial(2), 12) == [8, 1]


def test_of_rates_side_by_side_the_largest_are_lowered():
    rates, layers = (1, 2, 4, 8), ((0, 2), (1, 3), (4,))
    assert space_module.lower([8, 1, 2, 4, 4], rates, layers, 16) == [8, 1, 2, 4, 4]
    assert space_module.lower([8, 1, 2, 4, 4], rates, layers, 12) == [4, 1, 2, 4, 4]
    assert space_module.lower([8, 1, 8, 4, 2], rates, layers, 10) == [4, 1, 4, 4, 2]
    assert space_module.lower([8, 1, 8, 4, 2], rates, layers, 6) == [2, 1, 2, 2, 2]
