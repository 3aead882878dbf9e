from __future__ import annotations

import pytest
import torch
from torch import Tensor

from g2l.models.ms_tcn import MSTCN
from g2l.structure import DilationStructure, LayerTopology
from g2l.training.loss import segmentation_loss
from tests.oracles.plain_ms_tcn import PlainMSTCN, plain_loss

SMALL = DilationStructure(((1, 3), (2, 5), (4, 1)))


def small(structure: DilationStructure = SMALL, *, dropout: float = 0.5) -> MSTCN:
    torch.manual_seed(0)
    return MSTCN(structure, feature_dim=6, num_classes=4, feature_maps=5, dropout=dropout)


def test_parameters_of_the_paper():
    model = MSTCN(DilationStructure.hand_designed(4, 10), feature_dim=2048, num_classes=19)
    assert sum(parameter.numel() for parameter in model.parameters()) == 800_396


def test_parameter_names_are_those_of_checkpoints():
    def stage(prefix: str) -> list[str]:
        layers = [f"layers.{layer}.{conv}" for layer in range(2) for conv in ("conv_dilated", "conv_1x1")]
        return [f"{prefix}.{name}" for name in ("conv_1x1", *layers, "conv_out")]

    expected = stage("stage1") + stage("stages.0") + stage("stages.1")
    names = [f"{name}.{kind}" for name in expected for kind in ("weight", "bias")]
    assert list(small().state_dict()) == names


def test_one_stage_has_no_later_ones():
    model = small(DilationStructure(((1, 2),)))
    assert model(torch.randn(1, 6, 9)).shape == (1, 1, 4, 9)


@pytest.mark.parametrize("structure", [SMALL, DilationStructure(((2, 7, 1),))], ids=str)
def test_receptive_field_is_what_the_structure_says(structure):
    model = small(structure).double().eval()
    reach = LayerTopology.serial(structure.shape).receptive_field(structure).future
    frames = 2 * reach + 21
    features = torch.randn(1, 6, frames, dtype=torch.float64, requires_grad=True)
    middle = frames // 2
    model(features)[-1, 0, :, middle].square().sum().backward()
    assert features.grad is not None
    seen = features.grad[0].abs().sum(0).nonzero().flatten()
    assert (seen.min().item(), seen.max().item()) == (middle - reach, middle + reach)
    assert model.training is False


@pytest.mark.parametrize("lengths", [(30, 30), (30, 11), (1, 30)])
def test_values_and_gradients_agree_with_the_oracle(lengths):
    model = small(dropout=0.0).double().train()
    plain = PlainMSTCN(SMALL.as_lists(), 6, 4, feature_maps=5, dropout=0.0).double().train()
    plain.load_state_dict(model.state_dict())
    features, targets, frame_mask = padded_batch(lengths)

    logits = model(features, frame_mask)
    ours = segmentation_loss(logits, targets, frame_mask, smoothing_weight=0.15, smoothing_clamp=4.0)
    ours.backward()
    plain_mask = frame_mask.expand(-1, 4, -1)
    outputs = plain(features, plain_mask)
    theirs = plain_loss(outputs, targets, plain_mask)
    theirs.backward()

    torch.testing.assert_close(logits * frame_mask, torch.stack(outputs))
    torch.testing.assert_close(ours, theirs)
    for (name, mine), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, msg=lambda text, name=name: f"{name}: {text}")


def padded_batch(lengths: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    longest = max(lengths)
    features = torch.zeros(len(lengths), 6, longest, dtype=torch.float64)
    targets = torch.full((len(lengths), longest), -100)
    frame_mask = torch.zeros(len(lengths), 1, longest, dtype=torch.float64)
    for row, frames in enumerate(lengths):
        features[row, :, :frames] = torch.randn(6, frames, dtype=torch.float64)
        targets[row, :frames] = torch.randint(4, (frames,))
        frame_mask[row, :, :frames] = 1
    return features, targets, frame_mask


def test_training_twice_from_one_random_state_is_bit_identical():
    features = torch.randn(1, 6, 50)
    model = small().train()
    state = torch.get_rng_state()
    first = model(features)
    second = model(features)
    torch.set_rng_state(state)
    assert torch.equal(model(features), first)
    assert not torch.equal(first, second)


def test_exported_graph_keeps_convolutions_and_any_length():
    model = small().eval()
    dynamic = {"features": {0: torch.export.Dim("batch"), 2: torch.export.Dim("frames")}, "frame_mask": None}
    program = torch.export.export(
        model, (torch.randn(2, 6, 9),), {"frame_mask": None}, dynamic_shapes=dynamic, strict=False
    )
    operators = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert sum("conv1d" in name for name in operators) == 3 * (2 + 2 * 2)
    assert not any("bmm" in name for name in operators)
    features = torch.randn(3, 6, 31)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(features, frame_mask=None), model(features))
