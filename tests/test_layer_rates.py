"""Rates of the layers of any network, of one axis or more, in the two dialects that name layers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.structure_files import Dialect, read_layer_rates, write_layer_rates

BY_LAYER = (Dialect.OFFICIAL, Dialect.MMCV)
RATES = {"backbone.layer1.0.conv2": (2, 3), "neck": (4,), "module.head": (5, 5, 5)}


def read(tmp_path, value):
    path = tmp_path / "rates.json"
    path.write_text(json.dumps(value))
    return read_layer_rates(path)


@pytest.mark.parametrize("dialect", BY_LAYER)
@settings(max_examples=40)
@given(
    rates=st.dictionaries(
        st.text(min_size=1, max_size=30),
        st.lists(st.integers(1, 5000), min_size=1, max_size=3).map(tuple),
        min_size=1,
        max_size=6,
    )
)
def test_rates_are_read_as_they_were_written(tmp_path_factory, dialect, rates):
    path = tmp_path_factory.mktemp("rates") / "rates.json"
    write_layer_rates(path, rates, dialect)
    assert read_layer_rates(path) == rates


def test_both_dialects_in_full(tmp_path):
    path = tmp_path / "rates.json"
    write_layer_rates(path, RATES, Dialect.MMCV)
    assert json.loads(path.read_text()) == {
        "structure": {
            "module.backbone.layer1.0.conv2": [2, 3],
            "module.neck": [4],
            "module.module.head": [5, 5, 5],
        }
    }
    write_layer_rates(path, RATES, Dialect.OFFICIAL)
    value = json.loads(path.read_text())
    assert value["model"] == {"backbone.layer1.0.conv2": [[2, 3]], "neck": [4], "module.head": [5, 5, 5]}
    assert value["global"]["exp_rate"] == 0.1


def test_whatever_such_files_hold_is_read(tmp_path):
    found = read(tmp_path, {"structure": {"module.a": 3, "b": [2, 4], "module.c": [[2, 4]], "d": [6]}})
    assert found == {"a": (3,), "b": (2, 4), "c": (2, 4), "d": (6,)}
    assert read(tmp_path, {"model": {"module.a": 3, "b": [4, 4]}}) == {"module.a": (3,), "b": (4, 4)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"schema": "g2l.structure/1", "stages": [[1]]}, r"expected `model` .*, but found `schema` \(g2l\)"),
        ({"layers": {}}, "expected `schema`"),
        ({"model": {}}, "`model` must map layers to rates, but is {} instead"),
        ({"model": {"a": [2, 3]}}, r"`model.a` must hold one rate, but holds \[2, 3\] instead"),
        ({"structure": {"a": [[2, 3], [4, 6]]}}, r"`structure.a` must hold one rate, but holds \[\[2, 3\], "),
        ({"structure": {"a": [2, 0]}}, r"`structure.a\[1\]` must be an integer in 1 … \d+, but is 0 instead"),
        ({"structure": {"a": 1, "module.a": 2}}, "`structure` holds 'a' twice"),
    ],
)
def test_wrong_files_are_told(tmp_path, value, message):
    with pytest.raises(InputError, match=f"rates.json: {message}"):
        read(tmp_path, value)


@pytest.mark.parametrize(
    ("rates", "dialect", "message"),
    [
        ({"a": (1,)}, Dialect.G2L, "`dialect` must be official or mmcv, but is g2l instead"),
        ({"a": (1, 0)}, Dialect.MMCV, r"`a\[1\]` must be an integer in 1 … \d+, but is 0 instead"),
        ({}, Dialect.OFFICIAL, "`rates` must map layers to rates, but is {} instead"),
        ({"a": ()}, Dialect.OFFICIAL, "`a` must hold one rate, but is empty instead"),
    ],
)
def test_what_cannot_be_read_is_not_written(tmp_path, rates, dialect, message):
    with pytest.raises(InputError, match=message):
        write_layer_rates(tmp_path / "rates.json", rates, dialect)
    assert not list(tmp_path.iterdir())
