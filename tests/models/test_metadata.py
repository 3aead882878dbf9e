from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.models.metadata import ModelMetadata


def top(**changes):
    return lambda value: value.update(changes)


def backbone(**changes):
    return lambda value: value["backbone"].update(changes)


BROKEN = [
    (top(schema="g2l.model/9"), "its schema is not g2l.model/1"),
    (lambda value: value.pop("schema"), "`schema` is missing"),
    (lambda value: value.pop("classes"), "expected `classes`, found none"),
    (top(classes="abc"), "expected `classes` to be tuple, found 'abc'"),
    (top(classes=[]), "classes must hold at least one name"),
    (top(structure=[[1, 0]]), r"`stages\[0\]\[1\]` must be an integer >= 1"),
    (top(feature_dim="6"), "expected `feature_dim` to be int, found '6'"),
    (top(sample_rate=0), "sample_rate must be 1 … 65536"),
    (top(sample_rate=10**400), "`sample_rate` to be below 2"),
    (top(normalize="rows"), "expected `normalize` to be normalization, found 'rows'"),
    (top(normalize="train"), "mean and std must hold 6 numbers"),
    (top(mean=["x"]), "expected `mean` to be float, found 'x'"),
    (top(fps=0), "fps must be > 0 and finite"),
    (top(precision="fp16"), "expected `precision` to be mapping, found 'fp16'"),
    (top(layers={"a": {}}), r"`layers` must describe \d+ layers"),
    (top(transitions=[[0, 3, 1]]), "transitions must hold pairs of classes and their counts"),
    (top(transitions=[[0, 1, 0]]), "transitions must hold pairs"),
    (backbone(layers=0), "`layers` must be >= 1, but is 0 instead"),
    (backbone(layers=True), "expected `layers` to be int, found True"),
    (backbone(name=None), "expected `name` to be str"),
    (backbone(causal=True, name="a:b"), "`causal` must be false for backbone"),
]


@pytest.mark.parametrize(("break_it", "reason"), BROKEN)
def test_corrupted_metadata_names_file_and_field(metadata, break_it, reason):
    value = json.loads(metadata.to_json())
    break_it(value)
    with pytest.raises(InputError, match=rf"^some.file: its `g2l` metadata cannot be read \(.*{reason}"):
        ModelMetadata.from_json(json.dumps(value), "some.file")


def test_files_of_earlier_versions_are_read(metadata):
    value = json.loads(metadata.to_json())
    del value["backbone"]["causal"], value["backbone"]["prediction_layers"]
    del value["transitions"], value["precision"]
    assert ModelMetadata.from_json(json.dumps(value), "some.file") == metadata


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
def test_nan_and_infinity_are_refused_wherever_they_are(metadata, number):
    text = metadata.to_json().replace('"metrics":{', '"metrics":{"x":' + number + ",", 1).replace(",}", "}")
    assert number in text
    with pytest.raises(InputError, match=r"m.onnx: its `g2l` metadata cannot be read \(Out of range float"):
        ModelMetadata.from_json(text, "m.onnx")
