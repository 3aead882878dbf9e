from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2l.config import ClassWeights
from g2l.training.loss import LossCounts, class_weights, segmentation_loss
from tests.oracles.naive_loss import naive_loss


def batch(lengths, *, stages=2, classes=3, seed=0, scale=1.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    longest = max(lengths)
    logits = scale * torch.randn(stages, len(lengths), classes, longest, generator=generator, dtype=dtype)
    targets = torch.randint(classes, (len(lengths), longest), generator=generator)
    mask = torch.zeros(len(lengths), 1, longest)
    for video, length in enumerate(lengths):
        targets[video, length:] = -100
        mask[video, :, :length] = 1
    return logits.requires_grad_(), targets, mask


def value_and_gradient(loss, logits):
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.detach(), gradient


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    stages=st.integers(1, 3),
    scale=st.sampled_from([0.5, 6.0]),
    seed=st.integers(0, 1000),
)
def test_values_and_gradients_equal_the_naive_loss(lengths, stages, scale, seed):
    logits, targets, mask = batch(lengths, stages=stages, seed=seed, scale=scale)
    ours = segmentation_loss(logits, targets, mask, smoothing_weight=0.15, smoothing_clamp=4.0)
    naive = naive_loss(logits, targets, mask, weight=0.15, clamp=4.0)
    for got, expected in zip(
        value_and_gradient(ours, logits), value_and_gradient(naive, logits), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 7), min_size=2, max_size=4), seed=st.integers(0, 1000))
def test_losses_of_parts_add_up_to_that_of_the_batch(lengths, seed):
    logits, targets, mask = batch(lengths, seed=seed)
    options = {"smoothing_weight": 0.15, "smoothing_clamp": 4.0}
    whole = segmentation_loss(logits, targets, mask, **options)
    counts = LossCounts.of(targets, mask)
    parts = sum(
        segmentation_loss(logits[:, rows], targets[rows], mask[rows], counts=counts, **options)
        for rows in (slice(1), slice(1, None))
    )
    for got, expected in zip(
        value_and_gradient(parts, logits), value_and_gradient(whole, logits), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_one_frame_has_no_smoothing_and_no_nan():
    logits, targets, mask = batch([1])
    with_term = segmentation_loss(logits, targets, mask, smoothing_weight=5.0, smoothing_clamp=4.0)
    without = segmentation_loss(logits, targets, mask, smoothing_weight=0.0, smoothing_clamp=4.0)
    loss, gradient = value_and_gradient(with_term, logits)
    assert loss == without
    assert torch.isfinite(gradient).all()


def test_half_precision_logits_are_summed_in_float32():
    logits, targets, mask = batch([6], dtype=torch.float32)
    loss = segmentation_loss(logits.bfloat16(), targets, mask, smoothing_weight=0.15, smoothing_clamp=4.0)
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("kind", [ClassWeights.INVERSE, ClassWeights.EFFECTIVE])
def test_class_weights_favour_rare_classes_and_keep_the_mean(kind):
    counts = torch.tensor([100_000, 1000, 0, 10])
    weights = class_weights(counts, kind)
    assert weights[0] < weights[1] < weights[3]
    assert weights[2] == 0
    assert (weights.double() * counts).sum() / counts.sum() == pytest.approx(1.0)
    assert weights[3] / weights[1] == pytest.approx(100.0 if kind is ClassWeights.INVERSE else 95.2, rel=1e-2)


def test_class_weights_of_equal_classes_are_equal():
    for kind in (ClassWeights.INVERSE, ClassWeights.EFFECTIVE):
        assert class_weights(torch.tensor([7, 7]), kind).tolist() == pytest.approx([1.0, 1.0])
        assert not class_weights(torch.tensor([0, 0]), kind).any()


def test_weights_multiply_the_cross_entropy_of_their_class():
    logits, targets, mask = batch([6, 3])
    options = {"smoothing_weight": 0.15, "smoothing_clamp": 4.0}
    plain = segmentation_loss(logits, targets, mask, **options)
    weights = torch.tensor([2.0, 0.5, 1.0], dtype=logits.dtype)
    assert segmentation_loss(logits, targets, mask, weights=torch.ones_like(weights), **options) == plain
    weighted = segmentation_loss(logits, targets, mask, weights=weights, **options)
    valid = targets != -100
    change = torch.log_softmax(logits, 2).gather(
        2, targets.clamp(min=0).expand(len(logits), *targets.shape).unsqueeze(2)
    )
    factor = (weights[targets.clamp(min=0)] - 1) * valid
    expected = plain - (change.squeeze(2) * factor).sum() / valid.sum()
    torch.testing.assert_close(weighted, expected)
