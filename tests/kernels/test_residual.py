from __future__ import annotations

import pytest
import torch
from torch import nn

from g2l.models.ms_tcn import DilatedResidualLayer
from g2l.receptive_field import convert

KINDS = pytest.mark.parametrize(
    ("causal", "branches"), [(False, False), (True, False), (False, True), (True, True)]
)


def layer(causal=False, branches=False, dropout=0.5, dtype=torch.float64):
    torch.manual_seed(0)
    made = DilatedResidualLayer(4, 6, dropout, causal=causal).to(dtype)
    if branches:
        convert(made, max_rate=30, expansion_rate=0.5)
        made.conv_dilated.alpha.data.copy_(torch.tensor([0.2, -0.1, 0.5]))
    return made


def watched(made):
    """Make the layer call each of its modules."""
    made.conv_dilated.register_forward_hook(lambda *arguments: None)
    return made


def masked_maps(frames=20, videos=2, dtype=torch.float64):
    torch.manual_seed(1)
    frame_mask = torch.ones(videos, 1, frames, dtype=dtype)
    frame_mask[-1, :, frames * 2 // 3 :] = 0
    return torch.randn(videos, 6, frames, dtype=dtype) * frame_mask, frame_mask


@KINDS
@pytest.mark.parametrize("frames", [1, 20])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("dropout", "training"), [(0.5, True), (0.3, True), (0.0, True), (0.5, False)])
def test_one_operation_does_what_the_modules_do_one_after_the_other(
    causal, branches, frames, masked, dropout, training
):
    maps, frame_mask = masked_maps(frames)
    results = []
    for make in (lambda made: made, watched):
        made = make(layer(causal, branches, dropout)).train(training)
        inputs = maps.mT.contiguous().mT.requires_grad_()
        torch.manual_seed(2)
        result = made(inputs, frame_mask if masked else None)
        (result * torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)).sum().backward()
        results.append([result, inputs.grad, *(weight.grad for weight in made.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_hooks_parametrizations_and_other_modules_are_heeded():
    maps, _ = masked_maps()
    made = layer(dropout=0.0)
    expected = made(maps)
    seen = []
    handles = [module.register_forward_hook(lambda *arguments: seen.append(1)) for module in made.children()]
    torch.testing.assert_close(made(maps), expected)
    assert len(seen) == 3
    for handle in handles:
        handle.remove()
    nn.utils.parametrizations.weight_norm(made.conv_1x1)
    nn.utils.parametrizations.weight_norm(made.conv_dilated)
    torch.testing.assert_close(made(maps), expected)
    made.dropout = nn.Dropout(0.999)
    made.train()
    assert (made(maps) == maps).double().mean() > 0.9


def test_a_second_derivative_is_refused():
    maps, _ = masked_maps()
    inputs = maps.requires_grad_()
    (gradient,) = torch.autograd.grad(layer()(inputs).square().sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
