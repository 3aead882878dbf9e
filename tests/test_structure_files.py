from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.config import FAMILIES, topology_of
from g2l.errors import InputError
from g2l.structure import DilationStructure
from g2l.structure_files import (
    LARGEST_FILE,
    LAYER_NAMES,
    Dialect,
    StructureFile,
    read_layer_rates,
    read_structure,
    write_layer_rates,
    write_structure,
)

STRUCTURES = st.lists(st.lists(st.integers(1, 5000), min_size=1, max_size=12), min_size=1, max_size=12).map(
    lambda stages: DilationStructure(tuple(map(tuple, stages)))
)
TEXT = st.text(max_size=20)
PROVENANCE = st.dictionaries(TEXT, TEXT | st.integers() | st.lists(st.booleans(), max_size=2), max_size=3)
OFFICIAL = {"stage1.layers.0.conv_dilated": 1, "stage1.layers.1.conv_dilated": [3]}


def read(tmp_path, value):
    path = tmp_path / "structure.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return read_structure(path)


@st.composite
def files(draw):
    """What a file may say: structure, backbone, causality and provenance that go together."""
    stages = [list(stage) for stage in draw(STRUCTURES).stages]
    backbone = draw(st.none() | st.sampled_from(sorted(LAYER_NAMES)) | TEXT)
    if backbone == "ms-tcn++":
        stages[0] *= 2
    structure = DilationStructure(tuple(map(tuple, stages)))
    return structure, backbone, draw(st.booleans()), draw(PROVENANCE)


@pytest.mark.parametrize("dialect", Dialect)
@settings(max_examples=40)
@given(file=files())
def test_every_dialect_is_read_as_it_was_written(tmp_path_factory, dialect, file):
    path = tmp_path_factory.mktemp("structures") / "s.json"
    structure, backbone, causal, provenance = file
    write_structure(path, structure, dialect, backbone=backbone, causal=causal, provenance=provenance)
    told = "ms-tcn" if backbone is None and dialect is not Dialect.G2L else backbone
    assert read_structure(path) == StructureFile(
        structure=structure, dialect=dialect, backbone=told, causal=causal, provenance=provenance
    )


def test_our_file(tmp_path):
    structure = DilationStructure(((1, 2), (4, 8)))
    write_structure(tmp_path / "s.json", structure, backbone="ms-tcn", provenance={"seed": 1})
    assert json.loads((tmp_path / "s.json").read_text()) == {
        "schema": "g2l.structure/1",
        "backbone": "ms-tcn",
        "stages": [[1, 2], [4, 8]],
        "provenance": {"seed": 1},
    }
    write_structure(tmp_path / "s.json", structure, backbone="ms-tcn", causal=True)
    assert json.loads((tmp_path / "s.json").read_text())["causal"] is True


DUAL = DilationStructure(((1, 2, 4, 8), (3, 5), (7, 9)))
DUAL_LAYERS = {
    "PG.conv_dilated_1.0": [1], "PG.conv_dilated_1.1": [2],
    "PG.conv_dilated_2.0": [4], "PG.conv_dilated_2.1": [8],
    "Rs.0.layers.0.conv_dilated": [3], "Rs.0.layers.1.conv_dilated": [5],
    "Rs.1.layers.0.conv_dilated": [7], "Rs.1.layers.1.conv_dilated": [9],
}  # fmt: skip
ATTENTION = DilationStructure(((1, 2), (3, 5), (7, 9)))
ATTENTION_LAYERS = {
    "encoder.layers.0.feed_forward.layer.0": [1], "encoder.layers.1.feed_forward.layer.0": [2],
    "decoders.0.layers.0.feed_forward.layer.0": [3], "decoders.0.layers.1.feed_forward.layer.0": [5],
    "decoders.1.layers.0.feed_forward.layer.0": [7], "decoders.1.layers.1.feed_forward.layer.0": [9],
}  # fmt: skip


@pytest.mark.parametrize(
    ("backbone", "structure", "layers"),
    [("ms-tcn++", DUAL, DUAL_LAYERS), ("asformer", ATTENTION, ATTENTION_LAYERS)],
)
def test_other_backbones_have_the_layer_names_of_their_published_code(tmp_path, backbone, structure, layers):
    path = tmp_path / "s.json"
    write_structure(path, structure, Dialect.OFFICIAL, backbone=backbone)
    assert json.loads(path.read_text())["model"] == layers
    write_structure(path, structure, Dialect.MMCV, backbone=backbone)
    wrapped = {f"module.{name}": rates for name, rates in layers.items()}
    assert json.loads(path.read_text())["structure"] == wrapped
    for section, found in (("model", layers), ("model", wrapped), ("structure", wrapped)):
        told = read(tmp_path, {section: dict(reversed(found.items()))})
        assert (told.structure, told.backbone) == (structure, backbone)
        assert told.topology == topology_of(backbone)


def test_the_names_know_which_convolutions_are_side_by_side():
    widths = {backbone: len(names.first) for backbone, names in LAYER_NAMES.items()}
    assert widths == {name: 2 if family.dual_prediction else 1 for name, family in FAMILIES.items()}


def test_official_files_hold_what_the_official_code_reads(tmp_path):
    write_structure(tmp_path / "s.json", DilationStructure(((1, 3), (5,), (7,))), Dialect.OFFICIAL)
    value = json.loads((tmp_path / "s.json").read_text())
    assert value["model"] == {
        "stage1.layers.0.conv_dilated": [1],
        "stage1.layers.1.conv_dilated": [3],
        "stages.0.layers.0.conv_dilated": [5],
        "stages.1.layers.0.conv_dilated": [7],
    }
    needed = {"step", "max_step", "search_interval", "exp_rate", "init_alphas", "normlize", "mmin", "mmax"}
    assert set(value["global"]) == needed | {"finetune"}


def test_mmcv_files_take_equal_axes_with_and_without_wrapper(tmp_path):
    layers = {"module.stage1.layers.0.conv_dilated": [4, 4], "stage1.layers.1.conv_dilated": [2]}
    found = read(tmp_path, {"search": {"step": 3}, "structure": layers})
    assert found.structure == DilationStructure(((4, 2),))
    assert found.dialect is Dialect.MMCV


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        (
            "model",
            [3, 4, 5],
            r"`model.stage1.layers.0.conv_dilated` must hold one rate, but holds \[3, 4, 5\]",
        ),
        ("structure", [4, 8], r"`structure.stage1.layers.0.conv_dilated` must hold one rate"),
        ("model", [], "`model.stage1.layers.0.conv_dilated` must hold one rate, but is empty"),
        ("model", 10**30, r"`model.stage1.layers.0.conv_dilated` must be an integer in 1 … \d+, but is 10"),
        ("model", [[[1]]], r"conv_dilated\[0\]\[0\]` must be an integer in .*, but is \[1\] instead"),
        ("model", [[1], [2]], r"conv_dilated` must hold one rate, but holds \[\[1\], \[2\]\] instead"),
        ("structure", [[4, 8]], r"conv_dilated` must hold one rate, but holds \[4, 8\] instead"),
    ],
)
def test_wrong_rates_name_their_layer(tmp_path, section, value, message):
    with pytest.raises(InputError, match=f"structure.json: .*{message}"):
        read(tmp_path, {section: OFFICIAL | {"stage1.layers.0.conv_dilated": value}})


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"stage1.layers.1.conv_dilated": 1}, "`model` lacks stage1.layers.0.conv_dilated"),
        (OFFICIAL | {"stages.1.layers.0.conv_dilated": 1}, "`model` lacks stages.0.layers.0.conv_dilated"),
        (OFFICIAL | {"module.stage1.layers.0.conv_dilated": 1}, "holds stage1.layers.0.conv_dilated twice"),
        (OFFICIAL | {"backbone.layer1.conv2": 1}, "but holds 'backbone.layer1.conv2'"),
        ({"layer1.conv2": 1}, "such as stage1.layers.0.conv_dilated and .*, but holds 'layer1.conv2'"),
        ({**DUAL_LAYERS, "PG.conv_dilated_2.2": 1}, "`model` lacks PG.conv_dilated_1.2"),
        (OFFICIAL | {"stage1.layers.٣.conv_dilated": 1}, "`model` must hold layers such as"),
        ({"stages.999.layers.9999.conv_dilated": 1}, "`model` lacks stage1.layers.0.conv_dilated"),
        (None, "`model` must map layers to rates, but is None instead"),
    ],
)
def test_wrong_layers_are_named(tmp_path, layers, message):
    with pytest.raises(InputError, match=f"structure.json: .*{message}"):
        read(tmp_path, {"model": layers})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"schema": "g2l.structure/2"},
            "`schema` must be 'g2l.structure/1', but is 'g2l.structure/2' instead",
        ),
        ({"stages": []}, "`stages` must hold at least one stage"),
        ({"stages": 3}, "`stages` must be lists of rates, but is 3 instead"),
        ({"stages": [[1], []]}, r"`stages\[1\]` must hold at least one rate"),
        ({"stages": [[1], [2.5]]}, r"`stages\[1\]\[0\]` must be an integer in .*, but is 2.5 instead"),
        ({"backbone": 3}, "`backbone` must be a name, but is 3 instead"),
        ({"causal": 1}, "`causal` must be true or false, but is 1 instead"),
        ({"backbone": "ms-tcn++"}, r"`stages\[0\]` must hold 2 rates for each layer, .* but holds 1 rates"),
        ({"provenance": [1]}, r"`provenance` must be an object, but is \[1\] instead"),
    ],
)
def test_wrong_fields_of_ours_are_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=f"structure.json: {message}"):
        read(tmp_path, {"schema": "g2l.structure/1", "stages": [[1]]} | changes)


def test_a_backbone_that_the_layer_names_contradict_is_refused(tmp_path):
    message = "`backbone` is 'asformer', but the layers are named as those of 'ms-tcn'"
    with pytest.raises(InputError, match=message):
        read(tmp_path, {"model": OFFICIAL, "backbone": "asformer"})
    assert read(tmp_path, {"model": OFFICIAL, "backbone": "mine:net"}).backbone == "mine:net"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", r"expected a JSON object, but found \[1\]"),
        ("{}", r"expected `schema` \(g2l\), `model` \(official\) or `structure` \(mmcv\), but found \[\]"),
        ('{"stages": [[1]]}', r"but found \['stages'\]"),
        (" " * (LARGEST_FILE + 1), "expected a structure file of at most 1048576 bytes"),
        ('{"schema": "g2l.structure/1", "stages": [[NaN]]}', "NaN is not JSON"),
        ('{"schema": ' + "[" * 900 + "]" * 900 + "}", "`schema` must be"),
        ('{"x\\ny": 1, "' + "z" * 500 + '": 2}', "but found"),
    ],
)
def test_other_files_are_told_in_one_short_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, content)
    assert "\n" not in error.value.message
    assert len(error.value.message) < 400


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-3, 40) | st.floats(allow_nan=False) | TEXT,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*OFFICIAL, "schema", "model", "structure", "stages"]), inner)
        ),
        max_leaves=12,
    )
)
def test_rubbish_is_read_or_refused_but_never_crashes(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("rubbish") / "s.json"
    path.write_text(json.dumps(value))
    message = ""
    try:
        assert read_structure(path).structure.rates
    except InputError as error:
        message = error.message
    assert "\n" not in message


BY_LAYER = (Dialect.OFFICIAL, Dialect.MMCV)
RATES = {"backbone.layer1.0.conv2": (2, 3), "neck": (4,), "module.head": (5, 5, 5)}


def read_rates(tmp_path, value):
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
    found = read_rates(tmp_path, {"structure": {"module.a": 3, "b": [2, 4], "module.c": [[2, 4]], "d": [6]}})
    assert found == {"a": (3,), "b": (2, 4), "c": (2, 4), "d": (6,)}
    assert read_rates(tmp_path, {"model": {"module.a": 3, "b": [4, 4]}}) == {"module.a": (3,), "b": (4, 4)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"schema": "g2l.structure/1", "stages": [[1]]}, r"expected `model` .*, but found `schema` \(g2l\)"),
        ({"model": {}}, "`model` must map layers to rates, but is {} instead"),
        ({"model": {"a": [2, 3]}}, r"`model.a` must hold one rate, but holds \[2, 3\] instead"),
        ({"structure": {"a": [[2, 3], [4, 6]]}}, r"`structure.a` must hold one rate, but holds \[\[2, 3\], "),
        ({"structure": {"a": 1, "module.a": 2}}, "`structure` holds 'a' twice"),
    ],
)
def test_wrong_files_are_told(tmp_path, value, message):
    with pytest.raises(InputError, match=f"rates.json: {message}"):
        read_rates(tmp_path, value)


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
