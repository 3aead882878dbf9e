from __future__ import annotations

import json
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


def rewrite(path, metadata, change):
    """Store weights that fit nothing beside metadata changed by `change`."""
    value = json.loads(metadata.to_json())
    change(value)
    save_file({"weight": torch.zeros(1)}, path, metadata={METADATA_KEY: json.dumps(value)})


def test_round_trip(tmp_path, network, metadata):
    path = tmp_path / "folder" / "model.safetensors"
    network.train()
    save_model(path, network, metadata)
    assert network.training
    loaded, read = load_model(path)
    assert read == metadata == read_metadata(path)
    assert not loaded.training
    features = torch.randn(2, 6, 50)
    with torch.no_grad():
        assert torch.equal(loaded(features), network.eval()(features))


def test_round_trip_of_everything_beside_the_weights(tmp_path, network, metadata):
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
    )
    path = tmp_path / "model.safetensors"
    save_model(path, network, full)
    assert read_metadata(path) == full


def test_saving_and_loading_leave_the_random_state_alone(tmp_path, network, metadata):
    state = torch.get_rng_state()
    save_model(tmp_path / "model.safetensors", network, metadata)
    load_model(tmp_path / "model.safetensors")
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_that_share_memory_are_saved(tmp_path, network, metadata):
    network.stage1.layers[1].conv_1x1 = network.stage1.layers[0].conv_1x1
    save_model(tmp_path / "model.safetensors", network, metadata)
    loaded, _ = load_model(tmp_path / "model.safetensors")
    assert torch.equal(loaded.stage1.layers[1].conv_1x1.weight, network.stage1.layers[0].conv_1x1.weight)


def test_a_model_that_does_not_fit_is_not_saved(tmp_path, network, metadata):
    path = tmp_path / "model.safetensors"
    save_model(path, network, metadata)
    before = path.read_bytes()
    network.extra = nn.Linear(1, 1)
    with pytest.raises(InputError, match=r"do not fit the network: `extra.weight` is not part of it"):
        save_model(path, network, metadata)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_metadata_is_read_from_the_header_alone(tmp_path, metadata):
    path = tmp_path / "model.safetensors"
    rewrite(path, metadata, lambda value: None)
    assert read_metadata(path) == metadata
    with pytest.raises(InputError, match=r"`stage1.conv_1x1.weight` is missing"):
        load_model(path)


def test_weights_of_another_size(tmp_path, network, metadata):
    path = tmp_path / "model.safetensors"
    text = replace(metadata, feature_dim=7).to_json()
    save_file(network.state_dict(), path, metadata={METADATA_KEY: text})
    expected = (
        r"model.safetensors: .*`stage1.conv_1x1.weight` must have shape \(5, 7, 1\), but has \(5, 6, 1\)"
    )
    with pytest.raises(InputError, match=expected):
        load_model(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.safetensors: no such file"):
        read_metadata(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02}q\x00.", b"not a model" * 10, struct.pack("<Q", 1 << 60) + b"{}"]
)
@pytest.mark.parametrize("read", [read_metadata, load_model])
def test_files_of_another_kind(tmp_path, content, read):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected a safetensors file"):
        read(path)


@pytest.mark.parametrize("kept", [4, 200, -1])
def test_files_that_are_cut_short(tmp_path, network, metadata, kept):
    path = tmp_path / "model.safetensors"
    save_model(path, network, metadata)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="expected a safetensors file") as error:
        load_model(path)
    assert "\n" not in error.value.message


def test_weights_of_somebody_else(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="expected `g2l` metadata in its header, but there is none"):
        read_metadata(path)


def test_a_file_alone_never_chooses_code_to_import(tmp_path, network, metadata):
    path = tmp_path / "model.safetensors"
    name = "g2l.models.ms_tcn:MSTCN"
    save_model(path, network, replace(metadata, backbone=replace(metadata.backbone, name=name)))
    with pytest.raises(
        InputError,
        match=r"expected a backbone of .*ms-tcn, ms-tcn\+\+, but it names 'g2l.models.ms_tcn:MSTCN'",
    ):
        load_model(path)
    loaded, _ = load_model(path, backbone=name)
    assert type(loaded).__name__ == "MSTCN"


@pytest.mark.parametrize("maps", [10**7, 10**400])
def test_a_network_that_fits_into_no_memory_is_refused_before_it_is_made(tmp_path, network, metadata, maps):
    described = replace(metadata, backbone=replace(metadata.backbone, feature_maps=maps))
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(network.state_dict(), metadata={METADATA_KEY: described.to_json()}))
    with pytest.raises(
        InputError, match=r"model\.safetensors: (its weights do not fit|its network cannot be built)"
    ):
        load_model(path)
