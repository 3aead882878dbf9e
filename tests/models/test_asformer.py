from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from g2l.config import BackboneConfig
from g2l.models.artifact import load_model, save_model
from g2l.models.asformer import ASFormer, Stage, Videos
from g2l.models.metadata import ModelMetadata
from g2l.receptive_field import Ending, branch_layers, convert, describe, expand, finish
from g2l.structure import DilationStructure
from tests.oracles.plain_asformer import PlainASFormer

STRUCTURE = DilationStructure(((1, 3, 2), (5, 4, 1), (8, 30, 2)))


def small(structure=STRUCTURE, *, dropout=0.5):
    torch.manual_seed(0)
    return ASFormer(structure, feature_dim=6, num_classes=4, feature_maps=6, dropout=dropout)


def plain():
    return PlainASFormer(STRUCTURE.as_lists(), 6, 4, feature_maps=6)


def test_parameters_of_the_published_network():
    model = ASFormer(DilationStructure.hand_designed(4, 10), feature_dim=2048, num_classes=19)
    # The paper gives 1.13 million.
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_134_476
    assert [layer.attention for layer in model.encoder.layers] == [1] * 10
    factors = [decoder.layers[0].attention for decoder in model.decoders]
    assert factors == pytest.approx([1, 0.04979, 0.002479], rel=1e-3)


def test_parameter_names_are_those_of_checkpoints():
    convs = ["feed_forward.layer.0", *(f"att_layer.{name}_conv" for name in ("query", "key", "value"))]
    convs += ["att_layer.conv_out", "conv_1x1"]
    names = []
    for stage in ("encoder", "decoders.0", "decoders.1"):
        layers = [f"layers.{layer}.{conv}" for layer in range(3) for conv in convs]
        names += [f"{stage}.{name}" for name in ("conv_1x1", *layers, "conv_out")]
    assert list(small().state_dict()) == [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]


@pytest.mark.parametrize("lengths", [(40,), (2,), (30, 11), (3, 31, 16)])
def test_values_and_gradients_agree_with_the_oracle(lengths):
    model, other = small().double().eval(), plain().double().eval()
    with torch.no_grad():
        for layer in model.modules():
            if hasattr(layer, "query_conv"):  # attention that is far from a mean
                layer.query_conv.weight.mul_(6)
    other.load_state_dict(model.state_dict())
    videos = [torch.randn(6, frames, dtype=torch.float64) for frames in lengths]
    features = pad_sequence([video.T for video in videos], batch_first=True, padding_value=7).mT
    frame_mask = pad_sequence([torch.ones(frames, 1).double() for frames in lengths], batch_first=True).mT

    logits = model(features, frame_mask if len(lengths) > 1 else None)
    (logits * frame_mask).square().sum().backward()
    expected = [torch.stack(other(video[None]))[:, 0] for video in videos]
    sum(outputs.square().sum() for outputs in expected).backward()

    for row, outputs in enumerate(expected):
        torch.testing.assert_close(logits[:, row, :, : lengths[row]], outputs)
    for (name, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_one_stage_has_no_decoder():
    model = small(DilationStructure(((1, 2),)))
    assert model(torch.randn(1, 6, 9)).shape == (1, 1, 4, 9)


def test_a_row_without_a_valid_frame_leaves_the_others_finite():
    frame_mask = torch.ones(2, 1, 9)
    frame_mask[1] = 0
    logits = small()(torch.randn(2, 6, 9), frame_mask)
    logits.sum().backward()
    assert logits.isfinite().all()


def test_whole_channels_are_masked_while_training():
    stage = Stage((), 1000, 1000, 2, 0.5, 1.0, channel_masking=0.3)
    with torch.no_grad():
        stage.conv_1x1.weight.copy_(torch.eye(1000).unsqueeze(2))
        stage.conv_1x1.bias.zero_()
    features = torch.tensor([1.0, 2.0, 4.0]).expand(2, 1000, 3)
    torch.manual_seed(0)
    _, seen = stage(features, None, Videos(features, None))
    kept = seen[:, :, :1]
    assert torch.equal(seen, kept * features)
    assert set(kept.unique().tolist()) == {0.0, torch.tensor(1 / 0.7).item()}
    assert (kept == 0).float().mean((1, 2)).tolist() == pytest.approx([0.3, 0.3], abs=0.05)
    assert not torch.equal(kept[0], kept[1])
    assert torch.equal(stage.eval()(features, None, Videos(features, None))[1], features)


def test_channels_of_features_are_masked_but_not_those_of_probabilities():
    assert [stage.channel_masking for stage in (small().encoder, *small().decoders)] == [0.3, 0, 0]


def test_without_dropout_nothing_is_random():
    model = small(dropout=0.0)
    assert model.encoder.channel_masking == 0
    features = torch.randn(1, 6, 40)
    assert torch.equal(model(features), model.eval()(features))


def test_training_twice_from_one_random_state_is_bit_identical():
    features, frame_mask = torch.randn(2, 6, 50), torch.ones(2, 1, 50)
    gradients = []
    for _ in range(2):
        model = small()
        torch.manual_seed(1)
        model(features, frame_mask).square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def rates_of(model):
    stages = (model.encoder, *model.decoders)
    return [[layer.feed_forward.rate for layer in stage.layers] for stage in stages]


def test_a_local_search_moves_the_windows_too():
    searched = small().eval()
    report = convert(searched, max_rate=64)
    assert len(report.converted) == 9
    assert rates_of(searched) == STRUCTURE.as_lists()
    moved = DilationStructure(((2, 7, 1), (6, 4, 2), (9, 33, 1)))
    expand(searched, {name: (rate,) for name, rate in zip(report.converted, moved.rates, strict=True)})
    assert rates_of(searched) == moved.as_lists()
    finish(searched, Ending.SINGLE)
    built = small(moved).eval()
    features = torch.randn(2, 6, 50)
    assert torch.equal(searched(features), built(features))


def test_merged_branches_say_what_they_said_also_in_a_file(tmp_path):
    model = small().eval()
    features = torch.randn(2, 6, 50)
    convert(model, max_rate=64, expansion_rate=0.5)
    finish(model, Ending.MULTIPLE)
    with torch.no_grad():
        for layer in branch_layers(model).values():
            layer.expand((6,))
            layer.alpha.copy_(torch.tensor([0.2, 0.1, 0.5]))
    expected = model(features)
    finish(model, Ending.MERGE)
    assert rates_of(model) == [[6] * 3] * 3
    torch.testing.assert_close(model(features), expected, rtol=1e-5, atol=1e-5)
    metadata = ModelMetadata(
        structure=STRUCTURE,
        backbone=BackboneConfig(name="asformer", stages=3, layers=3, feature_maps=6),
        classes=("a", "b", "c", "d"),
        feature_dim=6,
        layers=describe(model),
    )
    save_model(tmp_path / "model.safetensors", model, metadata)
    loaded, _ = load_model(tmp_path / "model.safetensors")
    assert torch.equal(loaded(features), model(features))


def test_no_number_of_feature_maps_is_too_small():
    model = ASFormer(DilationStructure(((1, 2),)), feature_dim=2, num_classes=3, feature_maps=1)
    assert model(torch.randn(1, 2, 5)).isfinite().all()
    assert model.encoder.layers[0].att_layer.query_conv.out_channels == 1
