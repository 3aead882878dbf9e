"""Published checkpoints of the three networks: loading, wrappers, prefixes, and errors in one line."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.models.artifact import load_model, save_model
from g2l.models.published import PREFIXES, WRAPPERS, load_published
from g2l.structure import DilationStructure
from tests.oracles.plain_asformer import PlainASFormer
from tests.oracles.plain_ms_tcn import PlainMSTCN
from tests.oracles.plain_ms_tcn_plus_plus import PlainMSTCNPlusPlus

CLASSES = ("pour", "stir", "background")
D, F = 6, 5


@dataclass
class Case:
    """One published network: how it is built, and the structure that it has."""

    plain: Any
    rates: tuple[Any, ...]
    stages: tuple[tuple[int, ...], ...]
    call: Any

    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return self.plain(*self.rates).eval()

    @property
    def structure(self) -> DilationStructure:
        return DilationStructure(self.stages)


def ms_tcn(*stages):
    return PlainMSTCN(list(map(list, stages)), D, len(CLASSES), feature_maps=F)


def ms_tcn_plus_plus(pairs, refinements):
    return PlainMSTCNPlusPlus(pairs, refinements, D, len(CLASSES), maps=F)


def asformer(*stages):
    return PlainASFormer(list(map(list, stages)), D, len(CLASSES), feature_maps=F)


MS_TCN = ((1, 2, 7), (3, 40), (5,))
ASFORMER = ((1, 5), (4,), (9, 60))
DUAL = ([(4, 1), (3, 2), (1, 9)], [[2, 5], [4]])
CASES = {
    "ms-tcn": Case(ms_tcn, MS_TCN, MS_TCN, lambda net, x: net(x, torch.ones(1, 3, x.shape[2]))),
    "ms-tcn++": Case(ms_tcn_plus_plus, DUAL, ((4, 3, 1, 1, 2, 9), (2, 5), (4,)), lambda net, x: net(x)),
    "asformer": Case(asformer, ASFORMER, ASFORMER, lambda net, x: net(x)),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "epoch-65.model"


def load(path, structure=CASES["ms-tcn"].structure, classes=CLASSES):
    return load_published(path, structure=structure, classes=classes)


def weights(backbone="ms-tcn"):
    return CASES[backbone].network().state_dict()


@pytest.mark.parametrize("backbone", CASES)
def test_same_logits_as_the_code_that_wrote_it_and_a_round_trip_through_our_format(path, backbone):
    case = CASES[backbone]
    plain = case.network()
    torch.save(plain.state_dict(), path)
    model, metadata = load(path, case.structure)
    assert (metadata.backbone.name, metadata.backbone.feature_maps, metadata.feature_dim) == (backbone, F, D)
    assert metadata.structure == case.structure
    features = torch.randn(1, D, 90)
    with torch.no_grad():
        expected = torch.stack(list(case.call(plain, features)))
        torch.testing.assert_close(model(features), expected, rtol=1e-4, atol=1e-5)
    ours = path.with_suffix(".safetensors")
    save_model(ours, model, metadata)
    again, read = load_model(ours)
    assert read == metadata
    assert list(again.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(again.state_dict()[name], value) for name, value in plain.state_dict().items())


def prefixed(*prefixes):
    return lambda state: {f"{''.join(prefixes)}{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    "store",
    [
        *(lambda state, key=key: {key: state, "epoch": 65, "optimizer": {"lr": 1}} for key in WRAPPERS),
        *(prefixed(prefix) for prefix in PREFIXES),
        prefixed("model.", "module.", "_orig_mod."),
        lambda state: {"model": {"state_dict": prefixed("net.")(state), "epoch": 3}},
        lambda state: {"state_dict": prefixed("model.")(state), "hyper_parameters": {}},
    ],
)
def test_wrappers_and_prefixes_of_training_frameworks_are_removed(path, store):
    torch.save(store(weights()), path)
    found = load(path)[0].state_dict()
    assert list(found) == list(weights())
    assert all(torch.equal(found[name], value) for name, value in weights().items())


def test_old_serialisation(path):
    torch.save(weights(), path, _use_new_zipfile_serialization=False)
    assert load(path)[1].feature_dim == D


@pytest.mark.parametrize(
    ("network", "name", "layers"),
    [
        (ms_tcn((1, 1, 1), (1,), (1, 1)), "ms-tcn", (3, 1, 2)),
        (asformer((3,)), "asformer", (1,)),
        (ms_tcn_plus_plus([(1, 1)] * 3, [[1] * 2, [1]]), "ms-tcn++", (3, 2, 1)),
    ],
)
def test_without_a_structure_the_hand_designed_rates_of_that_size_are_assumed(
    path, network, name, layers, caplog
):
    torch.save(network.state_dict(), path)
    with caplog.at_level(logging.WARNING, logger="g2l"):
        _, metadata = load(path, structure=None)
    assert metadata.structure == BackboneConfig(name=name).hand_designed(layers)
    assert f"hand-designed rates of {name}" in caplog.text


def without(*prefixes):
    return lambda state: {name: w for name, w in state.items() if not name.startswith(prefixes)}


def plus(name, *shape):
    return lambda state: state | {name: torch.zeros(*shape)}


def one_module_for_all_stages(state):
    return {name.replace("Rs.0.", "R."): w for name, w in state.items() if not name.startswith("Rs.1.")}


@pytest.mark.parametrize(
    ("backbone", "change", "message"),
    [
        (
            "ms-tcn",
            without("stages.1.layers.0.conv_1x1.bias"),
            "`stages.1.layers.0.conv_1x1.bias` is missing",
        ),
        (
            "ms-tcn",
            without("stages.0.layers.1"),
            "stages of 3, 1, 1 rates, .* one given has stages of 3, 2, 1",
        ),
        ("ms-tcn", without("stage1.conv_out.weight"), "network, but `stage1.conv_out.weight` is missing"),
        ("ms-tcn", plus("stage1.gate", 1), "`stage1.gate` is not part of it"),
        ("ms-tcn", plus("module.stage1.conv_out.bias", 3), "`stage1.conv_out.bias` is there twice"),
        ("ms-tcn", plus("stage1.conv_1x1.weight", 5, 4), r"must have 3 axes, but has shape \(5, 4\)"),
        (
            "ms-tcn",
            plus("stages.0.conv_1x1.weight", 5, 4, 1),
            r"`stages.0.conv_1x1.weight` must have shape \(5, 3, 1\), but has \(5, 4, 1\)",
        ),
        ("ms-tcn++", without("PG."), r"network, but `PG.conv_1x1_in.weight` is missing"),
        ("ms-tcn++", without("PG.conv_dilated_1."), "`PG.conv_dilated_1.0.weight` is missing"),
        ("ms-tcn++", without("PG.conv_dilated_2.2"), "`PG.conv_dilated_2.2.weight` is missing"),
        ("ms-tcn++", without("PG.conv_fusion.2.bias"), "`PG.conv_fusion.2.bias` is missing"),
        ("ms-tcn++", without("Rs.0."), "`Rs.0.layers.0.conv_dilated.weight` is missing"),
        (
            "ms-tcn++",
            one_module_for_all_stages,
            r"stages PG, Rs.0, Rs.1, … of ms-tcn\+\+, but found `R.conv_1x1",
        ),
        ("asformer", without("encoder.conv_1x1.weight"), "network, but `encoder.conv_1x1.weight` is missing"),
        ("asformer", without("encoder.layers.1."), "stages of 1, 1, 2 rates"),
        ("asformer", plus("encoder.pe", 1), "`encoder.pe` is not part of it"),
    ],
)
def test_wrong_weights_are_named(path, backbone, change, message):
    torch.save(change(weights(backbone)), path)
    with pytest.raises(InputError, match=rf"epoch-65\.model: .*{message}"):
        load(path, CASES[backbone].structure)


@pytest.mark.parametrize("backbone", CASES)
def test_another_number_of_classes_or_another_structure(path, backbone):
    torch.save(weights(backbone), path)
    with pytest.raises(InputError, match=r"conv_out.weight` is of 3 classes, but 2 classes are given"):
        load(path, classes=("a", "b"))
    with pytest.raises(InputError, match=r"epoch-65.model: expected a structure with stages of"):
        load(path, structure=DilationStructure(((1, 2, 1, 2), (1, 2))))


def sparse(state):
    return state | {"stage1.conv_out.bias": torch.zeros(3).to_sparse()}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nn.Linear(2, 2).state_dict(), "ms-tcn, .*, but found the keys weight, bias"),
        ({"encoder.layers.0.weight": torch.zeros(2, 2, 1)}, "found the keys encoder.layers.0.weight"),
        ({"epoch": 3, "optimizer": {}}, "expected a state dict, but found the keys epoch, optimizer"),
        ({"state_dict": {"a": 1}}, "expected a state dict, but found the keys state_dict"),
        ({}, "expected a state dict, but found the keys"),
        ([1, 2], "expected a state dict, but found a list"),
        (torch.zeros(2), "expected a state dict, but found a Tensor"),
        ("text", "expected a state dict, but found a str"),
        (sparse(weights()), "its weights cannot be loaded"),
    ],
)
def test_what_is_in_the_file_instead_is_named_in_one_line(path, value, message):
    torch.save(value, path)
    with pytest.raises(InputError, match=rf"epoch-65\.model: .*{message}") as error:
        load(path)
    assert "\n" not in error.value.message


def test_pickled_objects_are_refused(path):
    torch.save(CASES["ms-tcn"].network(), path)
    with pytest.raises(
        InputError, match=r"holds a pickled tests\.oracles\.plain_ms_tcn\.PlainMSTCN, which is"
    ):
        load(path)


@given(content=st.binary(max_size=60) | st.binary(max_size=20).map(lambda tail: b"\x80\x02" + tail))
@example(content=b"PK\x03\x04broken")
@example(content=bytes(100))
@example(content=b"r")
@settings(deadline=None, max_examples=50)
def test_files_of_another_kind(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("published") / "epoch-1.model"
    path.write_bytes(content)
    with pytest.raises(
        InputError, match="expected a state dict, but the file is corrupted or of another kind"
    ):
        load(path)


def test_a_truncated_and_a_missing_file(path):
    torch.save(weights(), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"epoch-65\.model: expected a state dict"):
        load(path)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        load(path)
