from __future__ import annotations

import struct
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from g2l.config import Normalization
from g2l.errors import InputError
from g2l.models.artifact import load_model, read_metadata, save_model
from g2l.models.metadata import METADATA_KEY
from g2l.receptive_field import Ending, convert, describe, finish, structure
from g2l.structure import ReceptiveField


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "model.safetensors"


def test_round_trip(path, network, metadata):
    network.train()
    state = torch.get_rng_state()
    save_model(path, network, metadata)
    loaded, read = load_model(path)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert read == metadata == read_metadata(path)
    assert not loaded.training
    features = torch.randn(2, 6, 50)
    with torch.no_grad():
        assert torch.equal(loaded(features), network.eval()(features))


def test_round_trip_of_everything_beside_the_weights(path, network, metadata):
    full = replace(
        metadata,
        background=(),
        sample_rate=2,
        normalize=Normalization.TRAIN,
        mean=(0.1, -2.0, 1e-30, 3.0, 4.0, 1 / 3),
        std=(1.0, 2.0, 0.5, 1e-6, 1.0, 7.0),
        fps=29.97,
        seed=3,
        metrics={"holdout/f1@10": 61.25},
        run_id="0123abc",
        dataset={"name": "küche", "split": 2, "fingerprint": "00ff"},
        transitions=((0, 0, 4000000000000), (2, 1, 1)),
        precision={"precision": "int8", "agreement": 99.5},
    )
    save_model(path, network, full)
    assert read_metadata(path) == full


def test_weights_that_share_memory_are_saved(path, network, metadata):
    network.stage1.layers[1].conv_1x1 = network.stage1.layers[0].conv_1x1
    save_model(path, network, metadata)
    loaded, _ = load_model(path)
    assert torch.equal(loaded.stage1.layers[1].conv_1x1.weight, network.stage1.layers[0].conv_1x1.weight)


def test_a_model_that_does_not_fit_is_not_saved(path, network, metadata):
    save_model(path, network, metadata)
    before = path.read_bytes()
    network.extra = nn.Linear(1, 1)
    with pytest.raises(InputError, match=r"do not fit the network: `extra.weight` is not part of it"):
        save_model(path, network, metadata)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_weights_of_another_network(tmp_path, network, metadata):
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="expected `g2l` metadata in its header, but there is none"):
        read_metadata(path)
    save_file({"weight": torch.zeros(1)}, path, metadata={METADATA_KEY: metadata.to_json()})
    assert read_metadata(path) == metadata  # from the header alone
    with pytest.raises(InputError, match=r"`stage1.conv_1x1.weight` is missing"):
        load_model(path)
    text = replace(metadata, feature_dim=7).to_json()
    save_file(network.state_dict(), path, metadata={METADATA_KEY: text})
    with pytest.raises(InputError, match=r"model.safetensors: .*must have shape \(5, 7, 1\), but has \(5, 6"):
        load_model(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02}q\x00.", b"not a model" * 10, struct.pack("<Q", 1 << 60) + b"{}"]
)
@pytest.mark.parametrize("read", [read_metadata, load_model])
def test_files_of_another_kind(tmp_path, content, read):
    path = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match=r"model\.safetensors: no such file"):
        read(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors: expected a safetensors file"):
        read(path)


def test_a_truncated_file(path, network, metadata):
    save_model(path, network, metadata)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="expected a safetensors file"):
        load_model(path)


def test_a_file_alone_never_chooses_code_to_import(path, network, metadata):
    name = "g2l.models.ms_tcn:MSTCN"
    save_model(path, network, replace(metadata, backbone=replace(metadata.backbone, name=name)))
    with pytest.raises(InputError, match=r"a backbone of .*, but it names 'g2l.models.ms_tcn:MSTCN'"):
        load_model(path)
    loaded, _ = load_model(path, backbone=name)
    assert type(loaded).__name__ == "MSTCN"


@pytest.mark.parametrize("maps", [10**7, 10**400])
def test_a_network_that_does_not_fit_into_memory_is_refused_before_it_is_made(
    tmp_path, network, metadata, maps
):
    described = replace(metadata, backbone=replace(metadata.backbone, feature_maps=maps))
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(network.state_dict(), metadata={METADATA_KEY: described.to_json()}))
    with pytest.raises(InputError, match=r"safetensors: its (weights do not fit|.* below 2\^63)"):
        load_model(path)


@pytest.fixture(params=[Ending.MULTIPLE, Ending.MERGE])
def ended(request, network):
    """A network whose search has left more than a rate per layer."""
    convert(network, max_rate=64, expansion_rate=0.5)
    finish(network, request.param)
    return network.eval()


def test_round_trip_of_a_network_with_branches_or_dense_kernels(path, ended, metadata):
    save_model(path, ended, replace(metadata, layers=describe(ended)))
    loaded, read = load_model(path)
    assert structure(loaded) == structure(ended)
    # A label sees as far as the furthest branches of rates (1, 2, 3, 40).
    assert metadata.receptive_field == ReceptiveField(46, 46)
    assert read.receptive_field == ReceptiveField(2 + 3 + 4 + 60, 2 + 3 + 4 + 60)
    features = torch.randn(2, metadata.feature_dim, 50)
    with torch.no_grad():
        assert torch.equal(loaded(features), ended(features))


def test_a_kernel_that_is_not_that_of_the_weights_is_refused(path, ended, metadata):
    layers = describe(ended)
    next(iter(layers.values()))["kernel_size"] = [2**40 + 1]
    with pytest.raises(InputError, match=r"describes stage1\.layers\.0\.conv_dilated with another kernel"):
        save_model(path, ended, replace(metadata, layers=layers))
    assert not path.exists()
