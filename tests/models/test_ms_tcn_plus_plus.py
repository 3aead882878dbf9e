from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.models.ms_tcn_plus_plus import MSTCNPlusPlus
from g2l.structure import DilationStructure
from tests.oracles.plain_ms_tcn_plus_plus import PlainMSTCNPlusPlus

STRUCTURE = DilationStructure(((4, 3, 1, 1, 2, 9), (2, 5), (4, 1)))
"""Three layers of rates (4, 1), (3, 2) and (1, 9), then two refinement stages of two."""


def small():
    torch.manual_seed(0)
    return MSTCNPlusPlus(STRUCTURE, feature_dim=6, num_classes=4, feature_maps=5)


def plain():
    return PlainMSTCNPlusPlus([(4, 1), (3, 2), (1, 9)], [[2, 5], [4, 1]], 6, 4, maps=5)


def test_parameters_of_the_paper():
    structure = BackboneConfig(name="ms-tcn++").hand_designed()
    model = MSTCNPlusPlus(structure, feature_dim=2048, num_classes=19)
    # The paper gives 0.99 million.
    assert sum(parameter.numel() for parameter in model.parameters()) == 997_836
    assert [conv.dilation[0] for conv in model.PG.conv_dilated_1] == [2**e for e in range(10, -1, -1)]
    assert [conv.dilation[0] for conv in model.PG.conv_dilated_2] == [2**e for e in range(11)]
    assert [layer.conv_dilated.dilation[0] for layer in model.Rs[2].layers] == [2**e for e in range(10)]


def test_parameter_names_are_those_of_checkpoints():
    kinds = ("conv_dilated_1", "conv_dilated_2", "conv_fusion")
    names = ["PG.conv_1x1_in", *(f"PG.{kind}.{layer}" for kind in kinds for layer in range(3)), "PG.conv_out"]
    for stage in ("Rs.0", "Rs.1"):
        layers = [f"layers.{layer}.{conv}" for layer in range(2) for conv in ("conv_dilated", "conv_1x1")]
        names += [f"{stage}.{name}" for name in ("conv_1x1", *layers, "conv_out")]
    assert list(small().state_dict()) == [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]


@pytest.mark.parametrize("lengths", [(30,), (30, 11), (1, 30)])
def test_values_and_gradients_agree_with_the_oracle(lengths):
    model, other = small().double().eval(), plain().double().eval()
    other.load_state_dict(model.state_dict())
    videos = [torch.randn(6, frames, dtype=torch.float64) for frames in lengths]
    features = pad_sequence([video.T for video in videos], batch_first=True, padding_value=7).mT
    frame_mask = pad_sequence([torch.ones(frames, 1).double() for frames in lengths], batch_first=True).mT

    logits = model(features, frame_mask)
    (logits * frame_mask).square().sum().backward()
    expected = [torch.stack(other(video[None]))[:, 0] for video in videos]
    sum(outputs.square().sum() for outputs in expected).backward()

    for row, outputs in enumerate(expected):
        torch.testing.assert_close(logits[:, row, :, : lengths[row]], outputs)
    for (name, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_dropout_is_applied_in_training_only():
    model = small()
    features = torch.randn(1, 6, 40)
    assert not torch.equal(model(features)[0], model(features)[0])
    assert torch.equal(model.eval()(features), model(features))


def test_half_a_layer_is_refused():
    with pytest.raises(InputError, match="two rates per layer in its first stage, but has 3 in all"):
        MSTCNPlusPlus(DilationStructure(((1, 2, 3),)), feature_dim=6, num_classes=4)
