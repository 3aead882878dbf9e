from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.structure import DilationStructure

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
