"""Model files of networks whose search has left more than a rate per layer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from g2l.errors import InputError
from g2l.models.artifact import load_model, read_metadata, save_model
from g2l.models.metadata import ModelMetadata
from g2l.receptive_field import Ending, convert, describe, finish, structure
from g2l.structure import ReceptiveField


def ended(network, ending):
    convert(network, max_rate=64, expansion_rate=0.5)
    finish(network, ending)
    return network.eval()


@pytest.fixture(params=[Ending.MULTIPLE, Ending.MERGE])
def model(request, network):
    return ended(network, request.param)


def test_round_trip(tmp_path, model, metadata):
    path = tmp_path / "model.safetensors"
    save_model(path, model, replace(metadata, layers=describe(model)))
    loaded, read = load_model(path)
    assert structure(loaded) == structure(model)
    assert set(read.layers) == {name for name, _ in model.named_modules() if name.endswith("conv_dilated")}
    features = torch.randn(2, metadata.feature_dim, 50)
    with torch.no_grad():
        assert torch.equal(loaded(features), model(features))


def test_a_label_sees_as_far_as_the_furthest_branches(model, metadata):
    read = replace(metadata, layers=describe(model))
    assert metadata.structure.rates == (1, 2, 3, 40)
    assert metadata.receptive_field == ReceptiveField(46, 46)
    assert read.receptive_field == ReceptiveField(2 + 3 + 4 + 60, 2 + 3 + 4 + 60)


def test_merged_and_multiple_reach_equally_far(network, metadata):
    multiple = replace(metadata, layers=describe(ended(network, Ending.MULTIPLE)))
    finish(network, Ending.MERGE)
    assert replace(metadata, layers=describe(network)).receptive_field == multiple.receptive_field


def test_a_kernel_that_is_not_that_of_the_weights_is_refused(tmp_path, model, metadata):
    layers = describe(model)
    next(iter(layers.values()))["kernel_size"] = [2**40 + 1]
    with pytest.raises(InputError, match=r"describes stage1\.layers\.0\.conv_dilated with another kernel"):
        save_model(tmp_path / "model.safetensors", model, replace(metadata, layers=layers))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda layers: layers.popitem(), r"`layers` must describe \d+ layers"),
        (lambda layers: layers.update({next(iter(layers)): {}}), "`kernel_size` is missing"),
        (lambda layers: layers.update({next(iter(layers)): 5}), "metadata cannot be read"),
        (lambda layers: next(iter(layers.values())).update(dilation=[1, 1]), "metadata cannot be read"),
    ],
)
def test_damaged_descriptions_are_refused(model, metadata, damage, message):
    value = json.loads(replace(metadata, layers=describe(model)).to_json())
    damage(value["layers"])
    with pytest.raises(InputError, match=message):
        ModelMetadata.from_json(json.dumps(value), "m.safetensors")


def test_plain_files_describe_no_layers(tmp_path, network, metadata):
    save_model(tmp_path / "model.safetensors", network, metadata)
    assert read_metadata(tmp_path / "model.safetensors").layers == {}
