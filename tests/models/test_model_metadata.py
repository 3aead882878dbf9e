from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.models.metadata import ModelMetadata

BROKEN = [
    (lambda value: value.update(schema="g2l.model/9"), "its schema is not g2l.model/1"),
    (lambda value: value.pop("schema"), "`schema` is missing"),
    (lambda value: value.pop("classes"), "`classes` is missing"),
    (lambda value: value.update(classes="abc"), "expected a list of names"),
    (lambda value: value.update(classes=[]), "`classes` must hold at least one name"),
    (lambda value: value.update(surprise=1), "surprise"),
    (lambda value: value.update(structure=[[1, 0]]), r"`stages\[0\]\[1\]` must be an integer >= 1"),
    (lambda value: value.update(structure=None), "not iterable"),
    (lambda value: value.update(feature_dim="6"), "`feature_dim` must be an integer >= 1, but is '6'"),
    (lambda value: value.update(sample_rate=0), "`sample_rate` must be an integer >= 1, but is 0"),
    (lambda value: value.update(normalize="rows"), "'rows' is not a valid Normalization"),
    (lambda value: value.update(normalize="train"), "`mean` must hold 6 numbers, but holds 0"),
    (lambda value: value.update(mean=["x"]), "could not convert"),
    (lambda value: value.update(precision="fp16"), "`precision` must be an object, but is 'fp16' instead"),
    (lambda value: value["backbone"].update(layers=0), "`layers` must be >= 1, but is 0 instead"),
    (lambda value: value["backbone"].update(width=1), "width"),
    (lambda value: value["backbone"].update(stages=10**9), "`backbone` must have as many stages as `stru"),
    (lambda value: value["backbone"].update(layers=True), "`layers` of `backbone` must be like 10, but is T"),
    (lambda value: value["backbone"].update(name=None), "`name` of `backbone` must be like 'ms-tcn'"),
    (lambda value: value.update(sample_rate=10**400), "`sample_rate` must be <= 65536"),
    (lambda value: value.update(fps="30"), "`fps` must be > 0 and finite, but is '30' instead"),
    (lambda value: value.update(mean=[10**400]), "int too large"),
    (lambda value: value["backbone"].update(causal=True, name="a:b"), "`causal` must be false for backbone"),
    (lambda value: value.update(transitions=[[0, 3, 1]]), r"`transitions` must hold pairs .*not \(0, 3, 1\)"),
    (lambda value: value.update(transitions=[[0, 1, 0]]), r"not \(0, 1, 0\)"),
    (lambda value: value.update(transitions=[[0, 1, 1.5]]), r"not \(0, 1, 1.5\)"),
    (lambda value: value.update(transitions=[[0, 1]]), "not enough values"),
    (lambda value: value.update(transitions=7), "not iterable"),
]


@pytest.mark.parametrize(("break_it", "reason"), BROKEN)
def test_broken_metadata_names_what_is_wrong(metadata, break_it, reason):
    value = json.loads(metadata.to_json())
    break_it(value)
    with pytest.raises(InputError, match=rf"^some.file: its `g2l` metadata cannot be read \(.*{reason}"):
        ModelMetadata.from_json(json.dumps(value), "some.file")


def test_files_written_before_there_were_causal_networks_can_be_read(metadata):
    value = json.loads(metadata.to_json())
    del value["backbone"]["causal"], value["backbone"]["prediction_layers"]
    assert ModelMetadata.from_json(json.dumps(value), "some.file") == metadata


def test_files_of_before_transitions_were_counted_still_load(metadata):
    value = json.loads(metadata.to_json())
    del value["transitions"]
    assert ModelMetadata.from_json(json.dumps(value), "some.file") == metadata


def test_metadata_from_before_fp16_and_int8_was_measured_are_read(metadata):
    value = json.loads(metadata.to_json())
    del value["precision"]
    assert ModelMetadata.from_json(json.dumps(value), "some.file") == metadata
    value["precision"] = {"precision": "int8", "agreement": 99.5}
    found = ModelMetadata.from_json(json.dumps(value), "some.file")
    assert found.precision == {"precision": "int8", "agreement": 99.5}
    assert ModelMetadata.from_json(found.to_json(), "some.file") == found


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(text=st.text(max_size=20) | json_values.map(json.dumps))
def test_any_other_text_is_an_input_error(text):
    with pytest.raises(InputError, match="metadata cannot be read"):
        ModelMetadata.from_json(text, "some.file")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999"])
def test_numbers_that_are_none_are_refused_wherever_they_are(metadata, number):
    text = metadata.to_json().replace('"metrics":{', '"metrics":{"x":' + number + ",", 1).replace(",}", "}")
    assert number in text
    with pytest.raises(InputError, match=r"m.onnx: its `g2l` metadata cannot be read \(Out of range float"):
        ModelMetadata.from_json(text, "m.onnx")
