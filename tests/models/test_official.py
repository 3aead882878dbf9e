from __future__ import annotations

import logging

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from g2l.errors import InputError
from g2l.models.artifact import load_model, save_model
from g2l.models.official import load_official
from g2l.structure import DilationStructure
from tests.oracles.plain_ms_tcn import PlainMSTCN

STRUCTURE = DilationStructure(((1, 2), (3, 40), (5, 1)))
CLASSES = ("pour", "stir", "background")


@pytest.fixture
def plain():
    torch.manual_seed(0)
    return PlainMSTCN(STRUCTURE.as_lists(), 6, len(CLASSES), feature_maps=5).eval()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "epoch-65.model"


def load(path, structure=STRUCTURE, classes=CLASSES):
    return load_official(path, structure=structure, classes=classes)


def wrapped(weights):
    return {"state_dict": weights, "epoch": 65}


def data_parallel(weights):
    return {f"module.{name}": value for name, value in weights.items()}


@pytest.mark.parametrize(
    "store", [dict, wrapped, data_parallel, lambda weights: wrapped(data_parallel(weights))]
)
def test_same_logits_as_the_code_that_wrote_it(path, plain, store):
    torch.save(store(plain.state_dict()), path)
    model, metadata = load(path)
    assert (metadata.feature_dim, metadata.backbone.feature_maps) == (6, 5)
    assert metadata.backbone.shape == STRUCTURE.shape
    assert metadata.classes == CLASSES
    features = torch.randn(1, 6, 90)
    with torch.no_grad():
        expected = torch.stack(plain(features, torch.ones(1, 3, 90)))
        torch.testing.assert_close(model(features), expected)


def test_old_serialisation(path, plain):
    torch.save(plain.state_dict(), path, _use_new_zipfile_serialization=False)
    assert load(path)[1].feature_dim == 6


def test_round_trip_through_our_own_format(path, plain):
    torch.save(plain.state_dict(), path)
    model, metadata = load(path)
    ours = path.with_suffix(".safetensors")
    save_model(ours, model, metadata)
    again, read = load_model(ours)
    assert read == metadata
    torch.save(again.state_dict(), path)
    returned = torch.load(path, weights_only=True)
    assert list(returned) == list(plain.state_dict())
    assert all(torch.equal(returned[name], value) for name, value in plain.state_dict().items())


def test_without_a_structure_the_rates_of_ms_tcn_are_assumed(path, plain, caplog):
    torch.save(plain.state_dict(), path)
    with caplog.at_level(logging.WARNING, logger="g2l"):
        _, metadata = load(path, structure=None)
    assert metadata.structure.as_lists() == [[1, 2]] * 3
    assert "no structure is given" in caplog.text


def test_what_describes_the_data_is_kept(path, plain):
    torch.save(plain.state_dict(), path)
    _, metadata = load_official(
        path, structure=STRUCTURE, classes=CLASSES, background=(), sample_rate=2, fps=30.0
    )
    assert (metadata.background, metadata.sample_rate, metadata.fps) == ((), 2, 30.0)


@pytest.mark.parametrize("structure", [((1, 2), (1, 2)), ((1, 2, 3),) * 3, ((1, 2), (1, 2), (1,))])
def test_structure_of_another_size(path, plain, structure):
    torch.save(plain.state_dict(), path)
    with pytest.raises(InputError, match=r"epoch-65.model .*expected 3 stages of 2 layers, but found"):
        load(path, structure=DilationStructure(structure))


def test_other_number_of_classes(path, plain):
    torch.save(plain.state_dict(), path)
    with pytest.raises(
        InputError, match=r"`stage1.conv_out.weight` is of 3 classes, but 2 classes are given"
    ):
        load(path, classes=("a", "b"))


def test_missing_weight_is_named(path, plain):
    weights = plain.state_dict()
    del weights["stages.1.layers.1.conv_1x1.bias"]
    torch.save(weights, path)
    with pytest.raises(InputError, match=r"`stages.1.layers.1.conv_1x1.bias` is missing"):
        load(path)


def test_missing_layer(path, plain):
    weights = {name: value for name, value in plain.state_dict().items() if "stages.0.layers.1" not in name}
    torch.save(weights, path)
    found = r"equally many layers, but found 2 in stage1, 1 in stages.0, 2 in stages.1"
    with pytest.raises(InputError, match=found):
        load(path)


def test_unknown_weight_is_named(path, plain):
    torch.save(plain.state_dict() | {"stage1.gate": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"`stage1.gate` is not part of it"):
        load(path)


def test_wrong_shape_is_named(path, plain):
    torch.save(plain.state_dict() | {"stages.0.conv_1x1.weight": torch.zeros(5, 4, 1)}, path)
    expected = r"`stages.0.conv_1x1.weight` must have shape \(5, 3, 1\), but has \(5, 4, 1\) instead"
    with pytest.raises(InputError, match=expected):
        load(path)


def test_another_network(path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(
        InputError, match=r"expected a state dict of MS-TCN or MS-TCN\+\+.*, but its names"
    ) as error:
        load(path)
    assert error.value.hint == "it holds weight, bias."


@pytest.mark.parametrize("name", ["stage1.conv_1x1.weight", "stage1.conv_out.weight"])
def test_what_tells_the_size_is_missing(path, plain, name):
    torch.save({key: value for key, value in plain.state_dict().items() if key != name}, path)
    with pytest.raises(InputError, match=f"expected a state dict of MS-TCN, but `{name}` is missing"):
        load(path)


def test_pickled_objects_are_refused(path, plain):
    torch.save(plain, path)
    with pytest.raises(
        InputError, match=r"it holds a pickled tests\.oracles\.plain_ms_tcn\.PlainMSTCN, which is"
    ):
        load(path)


@pytest.mark.parametrize("value", [[1, 2], {"epoch": 3}, torch.zeros(2), "text"])
def test_other_values(path, value):
    torch.save(value, path)
    with pytest.raises(InputError, match="expected a state dict, but found a"):
        load(path)


@given(content=st.binary(max_size=60) | st.binary(max_size=20).map(lambda tail: b"\x80\x02" + tail))
@example(content=b"PK\x03\x04broken")
@example(content=bytes(100))
@example(content=b"r")
@example(content=b"M")
@settings(deadline=None)
def test_files_of_another_kind(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("official") / "epoch-1.model"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected a state dict, but the file is damaged or of another kind"):
        load(path)


def test_file_that_is_cut_short(path, plain):
    torch.save(plain.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="expected a state dict"):
        load(path)


def test_missing_file(path):
    with pytest.raises(InputError, match="no such file"):
        load(path)
