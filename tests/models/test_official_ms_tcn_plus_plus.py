from __future__ import annotations

import logging

import pytest
import torch

from g2l.errors import InputError
from g2l.models.artifact import load_model, save_model
from g2l.models.official import load_official
from g2l.structure import DilationStructure
from tests.oracles.plain_ms_tcn_plus_plus import PlainMSTCNPlusPlus

PAIRS = [(4, 1), (3, 2), (1, 9)]
REFINEMENTS = [[2, 5], [4, 1]]
STRUCTURE = DilationStructure(((4, 3, 1, 1, 2, 9), (2, 5), (4, 1)))
CLASSES = ("pour", "stir", "background")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "epoch-100.model"


def network(pairs=PAIRS, refinements=REFINEMENTS):
    torch.manual_seed(0)
    return PlainMSTCNPlusPlus(pairs, refinements, 6, len(CLASSES), maps=5).eval()


def load(path, structure=STRUCTURE, classes=CLASSES):
    return load_official(path, structure=structure, classes=classes)


def test_same_logits_as_the_code_that_wrote_it(path):
    plain = network()
    torch.save(plain.state_dict(), path)
    model, metadata = load(path)
    features = torch.randn(1, 6, 90)
    with torch.no_grad():
        torch.testing.assert_close(model(features), torch.stack(plain(features)))
    save_model(path.with_suffix(".safetensors"), model, metadata)
    again, read = load_model(path.with_suffix(".safetensors"))
    assert read == metadata
    assert list(again.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize(
    ("prediction", "layers", "refinements", "expected"),
    [
        (3, 2, 2, (3, 2, None)),
        (2, 2, 1, (2, 2, 2)),
        (1, 3, 1, (2, 3, 1)),
        (4, 0, 0, (1, 3, None)),
        (1, 0, 0, (1, 1, 1)),
    ],
)
def test_the_size_is_read_off_names_and_shapes(path, prediction, layers, refinements, expected, caplog):
    torch.save(network([(1, 1)] * prediction, [[1] * layers] * refinements).state_dict(), path)
    with caplog.at_level(logging.WARNING, logger="g2l"):
        _, metadata = load(path, structure=None)
    backbone = metadata.backbone
    assert (backbone.stages, backbone.layers, backbone.prediction_layers) == expected
    assert (backbone.name, backbone.feature_maps, metadata.feature_dim) == ("ms-tcn++", 5, 6)
    ascending = tuple(2**layer for layer in range(prediction))
    assert metadata.structure.stages[0] == (*reversed(ascending), *ascending)
    assert "no structure is given; the hand-designed rates of ms-tcn++ are assumed" in caplog.text


def without(*prefixes):
    return lambda weights: {name: w for name, w in weights.items() if not name.startswith(prefixes)}


def one_module_for_all_stages(weights):
    return {name.replace("Rs.0.", "R."): w for name, w in weights.items() if not name.startswith("Rs.1.")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("PG.conv_1x1_in.weight"),
            r"state dict of MS-TCN\+\+, but `PG.conv_1x1_in.weight` is missing",
        ),
        (without("PG."), r"state dict of MS-TCN\+\+, but `PG.conv_1x1_in.weight` is missing"),
        (without("PG.conv_dilated_1."), "`PG.conv_dilated_1.0.weight` is missing"),
        (without("PG.conv_dilated_2.1"), r"`PG.conv_dilated_2.1.weight` is missing"),
        (without("PG.conv_dilated_2.2"), r"`PG.conv_dilated_2.2.weight` is missing"),
        (without("PG.conv_fusion.2.bias"), r"`PG.conv_fusion.2.bias` is missing"),
        (without("Rs.1.layers.1"), "expected stages of equally many layers, but found 2 in Rs.0, 1 in Rs.1"),
        (without("Rs.0."), "but found 0 in Rs.0"),
        (lambda weights: weights | {"PG.gate": torch.zeros(1)}, "`PG.gate` is not part of it"),
        (
            lambda weights: weights | {"PG.conv_fusion.0.weight": torch.zeros(5, 5, 1)},
            r"`PG.conv_fusion.0.weight` must have shape \(5, 10, 1\), but has \(5, 5, 1\) instead",
        ),
        (
            one_module_for_all_stages,
            r"expected stages PG, Rs.0, Rs.1, … of MS-TCN\+\+, but found `R.conv_1x1",
        ),
        (lambda weights: weights | {"Rs.conv_out.bias": torch.zeros(3)}, "but found `Rs.conv_out.bias`"),
    ],
)
def test_wrong_weights_are_named(path, change, message):
    torch.save(change(network().state_dict()), path)
    with pytest.raises(InputError, match=message):
        load(path)


def test_other_number_of_classes(path):
    torch.save(network().state_dict(), path)
    with pytest.raises(InputError, match=r"`PG.conv_out.weight` is of 3 classes, but 2 classes are given"):
        load(path, classes=("a", "b"))


def test_structure_of_another_size(path):
    torch.save(network().state_dict(), path)
    expected = (
        r"epoch-100.model .*expected 3 stages of 2 layers \(6 rates in the first\), but found stages of 4"
    )
    with pytest.raises(InputError, match=expected):
        load(path, structure=DilationStructure(((1, 2, 1, 2), (1, 2), (1, 2))))
