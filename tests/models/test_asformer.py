"""What only ASFormer has: channel masking, attention that decays, windows that follow the rates."""

from __future__ import annotations

import pytest
import torch

from g2l.models.asformer import ASFormer, Stage, Videos
from g2l.receptive_field import Ending, branch_layers, convert, expand, finish
from g2l.structure import DilationStructure

STRUCTURE = DilationStructure(((1, 3, 2), (5, 4, 1), (8, 30, 2)))


def small(structure=STRUCTURE, *, dropout=0.5):
    torch.manual_seed(0)
    return ASFormer(structure, feature_dim=6, num_classes=4, feature_maps=6, dropout=dropout)


def rates_of(model):
    stages = (model.encoder, *model.decoders)
    return [[layer.feed_forward.rate for layer in stage.layers] for stage in stages]


def test_attention_counts_less_from_decoder_to_decoder():
    model = small(DilationStructure(((1,),) * 4))
    factors = [stage.layers[0].attention for stage in (model.encoder, *model.decoders)]
    assert factors == pytest.approx([1, 1, 0.04979, 0.002479], rel=1e-3)


def test_a_row_without_a_valid_frame_leaves_the_others_finite():
    frame_mask = torch.ones(2, 1, 9)
    frame_mask[1] = 0
    logits = small()(torch.randn(2, 6, 9), frame_mask)
    logits.sum().backward()
    assert logits.isfinite().all()


def test_whole_channels_of_features_are_masked_while_training():
    assert [stage.channel_masking for stage in (small().encoder, *small().decoders)] == [0.3, 0, 0]
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


def test_a_local_search_moves_the_windows_too():
    searched = small().eval()
    report = convert(searched, max_rate=64)
    assert rates_of(searched) == STRUCTURE.as_lists()
    moved = DilationStructure(((2, 7, 1), (6, 4, 2), (9, 33, 1)))
    expand(searched, {name: (rate,) for name, rate in zip(report.converted, moved.rates, strict=True)})
    assert rates_of(searched) == moved.as_lists()
    finish(searched, Ending.SINGLE)
    features = torch.randn(2, 6, 50)
    assert torch.equal(searched(features), small(moved).eval()(features))


def test_a_merged_layer_keeps_the_window_of_its_branches():
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
