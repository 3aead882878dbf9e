from __future__ import annotations

import pytest
import torch
from torch import nn

from g2l.kernels.residual import residual_layer
from g2l.models.convolutions import as_taps
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
@pytest.mark.parametrize("frames", [1, 3, 20])
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


@KINDS
def test_gradients_by_finite_differences(causal, branches):
    made = layer(causal, branches)
    maps, frame_mask = masked_maps(frames=9)
    torch.manual_seed(2)
    kept = made.dropout.mask(maps) * frame_mask
    names, values = zip(*made.named_parameters(), strict=True)

    def run(maps, *values):
        given = dict(zip(names, values, strict=True))
        with torch.nn.utils.stateless._reparametrize_module(made, given):
            dilated = as_taps(made.conv_dilated, maps)
            return residual_layer(maps, dilated, made.conv_1x1.weight, made.conv_1x1.bias, kept)

    inputs = [value.detach().requires_grad_() for value in (maps, *values)]
    assert torch.autograd.gradcheck(run, inputs)


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


def test_the_input_may_need_no_gradient_and_the_weights_neither():
    maps, _ = masked_maps()
    made = layer()
    made(maps).sum().backward()
    assert all(weight.grad is not None for weight in made.parameters())
    frozen = layer().requires_grad_(False)
    assert not frozen(maps).requires_grad
    inputs = maps.clone().requires_grad_()
    frozen(inputs).sum().backward()
    assert inputs.grad is not None


def test_a_second_derivative_is_refused():
    maps, _ = masked_maps()
    inputs = maps.requires_grad_()
    (gradient,) = torch.autograd.grad(layer()(inputs).square().sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
