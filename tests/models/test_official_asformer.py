from __future__ import annotations

import logging

import pytest
import torch

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.models.artifact import load_model, save_model
from g2l.models.official import load_official
from g2l.structure import DilationStructure
from tests.oracles.plain_asformer import PlainASFormer

STRUCTURE = DilationStructure(((1, 5), (4, 2), (9, 60)))
CLASSES = ("pour", "stir", "background")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "epoch-120.model"


def network(rates=STRUCTURE.as_lists()):  # noqa: B008
    torch.manual_seed(0)
    return PlainASFormer(rates, 7, len(CLASSES), feature_maps=6).eval()


def load(path, structure=STRUCTURE, classes=CLASSES):
    return load_official(path, structure=structure, classes=classes)


def test_same_logits_as_the_code_that_wrote_it(path):
    plain = network()
    torch.save(plain.state_dict(), path)
    model, metadata = load(path)
    features = torch.randn(1, 7, 50)
    with torch.no_grad():
        torch.testing.assert_close(model(features), torch.stack(plain(features)), rtol=1e-4, atol=1e-5)
    save_model(path.with_suffix(".safetensors"), model, metadata)
    again, read = load_model(path.with_suffix(".safetensors"))
    assert read == metadata
    assert list(again.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize("shape", [(3, 3), (1, 1, 1, 1), (2,)])
def test_the_size_is_read_off_names_and_shapes(path, shape, caplog):
    torch.save(network([[1] * layers for layers in shape]).state_dict(), path)
    with caplog.at_level(logging.WARNING, logger="g2l"):
        _, metadata = load(path, structure=None)
    expected = BackboneConfig(name="asformer", stages=len(shape), layers=shape[0], feature_maps=6)
    assert (metadata.backbone, metadata.feature_dim) == (expected, 7)
    assert metadata.structure == expected.hand_designed()
    assert "no structure is given; the hand-designed rates of asformer are assumed" in caplog.text


def without(*prefixes):
    return lambda weights: {name: w for name, w in weights.items() if not name.startswith(prefixes)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("encoder.conv_1x1.weight"),
            "state dict of ASFormer, but `encoder.conv_1x1.weight` is missing",
        ),
        (without("encoder.layers.1."), "but found 1 in encoder, 2 in decoders.0, 2 in decoders.1"),
        (without("decoders.0."), "but found 2 in encoder, 0 in decoders.0"),
        (
            without("decoders.1.layers.0.att_layer.key_conv.bias"),
            "`decoders.1.layers.0.att_layer.key_conv.bias` is missing",
        ),
        (lambda weights: weights | {"encoder.pe": torch.zeros(1)}, "`encoder.pe` is not part of it"),
        (
            lambda weights: weights | {"encoder.layers.0.att_layer.query_conv.weight": torch.zeros(6, 6, 1)},
            r"`encoder.layers.0.att_layer.query_conv.weight` must have shape \(3, 6, 1\), but has \(6",
        ),
    ],
)
def test_wrong_weights_are_named(path, change, message):
    torch.save(change(network().state_dict()), path)
    with pytest.raises(InputError, match=message):
        load(path)


def test_the_encoder_of_another_network_is_not_taken_for_it(path):
    torch.save({"encoder.layers.0.weight": torch.zeros(2, 2, 1)}, path)
    with pytest.raises(InputError, match="but its names are those of none"):
        load(path)


def test_other_number_of_classes(path):
    torch.save(network().state_dict(), path)
    with pytest.raises(
        InputError, match=r"`encoder.conv_out.weight` is of 3 classes, but 2 classes are given"
    ):
        load(path, classes=("a", "b"))


def test_structure_of_another_size(path):
    torch.save(network().state_dict(), path)
    expected = r"epoch-120.model .*expected 3 stages of 2 layers, but found stages of 2, 2 layers"
    with pytest.raises(InputError, match=expected):
        load(path, structure=DilationStructure(((1, 2), (1, 2))))
