from __future__ import annotations

import pytest

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.structure import DilationStructure
from g2l.wiring import Reach, Wiring


def reach(structure: str, **settings) -> Reach:
    stages = tuple(tuple(map(int, stage.split(","))) for stage in structure.split("/"))
    wiring = Wiring.serial([len(stage) for stage in stages])
    return Wiring(**{**vars(wiring), **settings}).reach(DilationStructure(stages))


def test_rates_that_follow_each_other_add_up():
    assert reach("1,2,4/8") == Reach(15, 15)
    assert reach("1,2,4/8").receptive_field == 31


def test_of_rates_side_by_side_the_largest_counts():
    # Two layers, (1 beside 4) and (2 beside 1), then one of rate 8.
    assert reach("1,2,4,1/8", parallel=(2, 1)) == Reach(14, 14)


def test_a_causal_network_looks_back_only_and_twice_as_far():
    assert reach("1,2,4", causal=True) == Reach(14, 0)
    assert reach("1,2,4", causal=True).receptive_field == 15


def test_wider_kernels_see_further():
    assert reach("1,2", kernel_size=5) == Reach(6, 6)


def test_stages_by_themselves():
    wiring = Wiring(shape=(4, 1), parallel=(2, 1))
    assert wiring.stage_reaches(DilationStructure(((1, 2, 4, 1), (8,)))) == (Reach(6, 6), Reach(8, 8))


def test_layers_name_the_places_of_their_rates():
    assert Wiring(shape=(4, 2), parallel=(2, 1)).layers == ((0, 2), (1, 3), (4,), (5,))


def test_limits_become_one_span():
    wiring = Wiring.serial((2, 2))
    assert wiring.largest_span(None, None) is None
    assert wiring.largest_span(31, None) == 15
    assert wiring.largest_span(31, 9) == 9
    assert Wiring(shape=(2,), parallel=(1,), causal=True).largest_span(None, 0) is None


def test_a_structure_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"must have stages of \(2,\) rates, but has \(1, 1\) instead"):
        Wiring.serial((2,)).reach(DilationStructure(((1,), (1,))))


def test_ms_tcn_is_serial():
    assert BackboneConfig(stages=2, layers=3).wiring == Wiring.serial((3, 3))


def test_ms_tcn_plus_plus_has_dual_layers_in_its_first_stage():
    config = BackboneConfig(name="ms-tcn++").validate()
    assert config.shape == (22, 10, 10, 10)
    assert config.wiring.layers[:2] == ((0, 11), (1, 12))
    first, *later = config.hand_designed().stages
    assert first[:11] == tuple(2 ** (10 - layer) for layer in range(11))
    assert first[11:] == tuple(2**layer for layer in range(11))
    assert later == [tuple(2**layer for layer in range(10))] * 3


def test_prediction_layers_may_differ_from_the_paper():
    assert BackboneConfig(name="ms-tcn++", stages=2, layers=3, prediction_layers=2).shape == (4, 3)


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
    assert BackboneConfig(name="asformer").wiring.whole_video
    assert not BackboneConfig().wiring.whole_video
