from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.config import BackboneConfig, topology_of
from g2l.errors import InputError
from g2l.structure import DilationStructure, LayerTopology, ReceptiveField

STAGES = st.lists(st.lists(st.integers(1, 2048), min_size=1, max_size=12), min_size=1, max_size=5)


def test_hand_designed_is_the_ms_tcn():
    structure = DilationStructure.hand_designed(4, 10)
    assert structure.stages == ((1, 2, 4, 8, 16, 32, 64, 128, 256, 512),) * 4


@given(STAGES)
def test_genome_and_shape_rebuild_the_structure(stages):
    structure = DilationStructure(tuple(map(tuple, stages)))
    assert DilationStructure.from_rates(structure.rates, structure.shape) == structure
    assert DilationStructure(tuple(map(tuple, structure.as_lists()))) == structure
    assert sum(structure.shape) == len(structure.rates)


@given(STAGES, STAGES)
def test_keys_tell_structures_apart(first, second):
    one, two = (DilationStructure(tuple(map(tuple, stages))) for stages in (first, second))
    assert (one.key == two.key) == (one == two)
    assert str(one) == one.key


def test_structures_are_hashable_and_lists_become_tuples():
    structure = DilationStructure([[1, 2], [4]])
    assert structure == DilationStructure(((1, 2), (4,)))
    assert hash(structure) == hash(DilationStructure(((1, 2), (4,))))
    assert structure.key == "1,2/4"


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((), "`stages` must hold at least one stage"),
        (((1,), ()), r"`stages\[1\]` must hold at least one rate"),
        (((1, 0),), r"`stages\[0\]\[1\]` must be an integer >= 1, but is 0 instead"),
        (((1,), (-4,)), r"`stages\[1\]\[0\]` must be an integer >= 1, but is -4 instead"),
        (((1.0,),), "must be an integer >= 1, but is 1.0 instead"),
        (((True,),), "must be an integer >= 1, but is True instead"),
        ((("1",),), "must be an integer >= 1, but is '1' instead"),
    ],
)
def test_faults_name_the_place(stages, message):
    with pytest.raises(InputError, match=message):
        DilationStructure(stages)


def test_a_genome_of_another_length_is_refused():
    with pytest.raises(InputError, match="`rates` must hold 3 rates, but holds 2 instead"):
        DilationStructure.from_rates([1, 2], (1, 2))


@st.composite
def networks(draw):
    """A topology and a structure of 1 to 4 stages of any length."""
    topology = LayerTopology(parallel=draw(st.integers(1, 3)), causal=draw(st.booleans()))
    first, *later = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    shape = (first * topology.parallel, *later)
    rates = draw(st.lists(st.integers(1, 60), min_size=sum(shape), max_size=sum(shape)))
    return topology, DilationStructure.from_rates(rates, shape)


def seen(columns, topology):
    """Frames that frame 0 depends on through one stage, told tap by tap."""
    frames = {0}
    taps = (-2, -1, 0) if topology.causal else (-1, 0, 1)
    for layer in zip(*columns, strict=True):
        reached = {tap * rate for rate in layer for tap in taps}
        frames = {min(frames) + min(reached), max(frames) + max(reached)}
    return ReceptiveField(-min(frames), max(frames))


@given(networks())
def test_a_network_sees_what_its_taps_receptive_field(network):
    topology, structure = network
    stages = [seen(columns, topology) for columns in topology.columns(structure)]
    assert topology.stage_receptive_fields(structure) == tuple(stages)
    whole = ReceptiveField(sum(stage.past for stage in stages), sum(stage.future for stage in stages))
    assert topology.receptive_field(structure) == whole
    assert topology.report(structure) == {"receptive_field": whole.frames, "look_ahead": whole.future}


@given(networks(), st.integers(1, 5000), st.integers(0, 5000))
def test_one_span_says_both_limits(network, field, ahead):
    topology, structure = network
    span, found = topology.span(structure), topology.receptive_field(structure)

    def keeps(*limits):
        limit = topology.largest_span(*limits)
        return limit is None or span <= limit

    assert keeps(field, None) == (found.frames <= field)
    assert keeps(None, ahead) == (found.future <= ahead)
    assert keeps(field, ahead) == (keeps(field, None) and keeps(None, ahead))


def test_the_hand_designed_ms_tcn_sees_what_its_paper_says():
    config = BackboneConfig()
    stages = config.topology.stage_receptive_fields(config.hand_designed())
    assert [stage.frames for stage in stages] == [2047] * 4  # MS-TCN, section 3.1
    assert config.topology.receptive_field(config.hand_designed()) == ReceptiveField(4092, 4092)


def test_layers_name_the_places_of_their_rates():
    assert LayerTopology(parallel=2).layers((4, 2)) == ((0, 2), (1, 3), (4,), (5,))


def test_ms_tcn_plus_plus_has_dual_layers_in_its_first_stage():
    config = BackboneConfig(name="ms-tcn++").validate()
    assert config.hand_designed().shape == (22, 10, 10, 10)
    assert config.topology.layers((22, 10))[:2] == ((0, 11), (1, 12))
    first, *later = config.hand_designed().stages
    assert first[:11] == tuple(2 ** (10 - layer) for layer in range(11))
    assert first[11:] == tuple(2**layer for layer in range(11))
    assert later == [tuple(2**layer for layer in range(10))] * 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prediction_layers": 5}, "`prediction_layers` must be left out for backbone 'ms-tcn'"),
        ({"name": "ms-tcn++", "prediction_layers": 0}, "`prediction_layers` must be >= 1"),
        ({"name": "asformer", "causal": True}, r"`causal` must be false .* only ms-tcn, ms-tcn\+\+ have"),
        ({"name": "mine:net", "causal": True}, "`causal` must be false for backbone 'mine:net'"),
    ],
)
def test_settings_that_a_backbone_does_not_have_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        BackboneConfig(**settings).validate()


def test_asformer_says_that_it_sees_the_whole_video():
    assert BackboneConfig(name="asformer").topology.whole_video
    assert not BackboneConfig().topology.whole_video
    assert topology_of("asformer").report(DilationStructure(((1, 2), (1, 2)))) == {
        "receptive_field": 13,
        "look_ahead": 6,
        "whole_video": True,
    }


def test_rates_come_in_columns_that_follow_each_other():
    structure = DilationStructure(((1, 2, 4, 8), (3, 5)))
    assert topology_of("ms-tcn++").columns(structure) == (((1, 2), (4, 8)), ((3, 5),))
    assert topology_of("ms-tcn").columns(structure) == (((1, 2, 4, 8),), ((3, 5),))
    assert topology_of("mine:net", causal=True) == LayerTopology(causal=True)


def test_dual_layers_have_two_rates_each():
    odd = DilationStructure(((1, 2, 4, 8, 16), (3,)))
    message = r"`stages\[0\]` must hold 2 rates for each layer, .* but holds 5"
    with pytest.raises(InputError, match=message):
        topology_of("ms-tcn++").receptive_field(odd)
    with pytest.raises(InputError, match=r"s\.json: expected 2 rates for each layer .* but found 5 rates"):
        BackboneConfig(name="ms-tcn++").fit(odd, "s.json")
    assert BackboneConfig(name="ms-tcn").fit(odd)
