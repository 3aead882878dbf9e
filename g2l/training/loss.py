"""The loss of MS-TCN (section 3.2): cross-entropy plus truncated smoothing, all stages in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from g2l.datasets.batching import IGNORE_INDEX


def segmentation_loss(
    logits: Tensor, targets: Tensor, frame_mask: Tensor, *, smoothing_weight: float, smoothing_clamp: float
) -> Tensor:
    """Return the loss summed over stages: a scalar in the precision of the logits, float32 at least.

    Each stage adds the mean cross-entropy over the valid frames of the batch and `smoothing_weight` times
    the mean of min(Δ², τ²) over the valid pairs of neighbouring frames and the classes, where
    Δ = log-softmax(t) − stop-gradient(log-softmax(t − 1)).

    Deviation: the released code averages the smoothing over padded frames too, so that its scale depends on
    how videos are batched; here only valid pairs count. Without a valid pair (one frame) the term is zero.

    Args:
        logits: Scores of all stages, shape (S, B, C, T).
        targets: Class indices, -100 where there is none, shape (B, T).
        frame_mask: 1 for frames of the video and 0 for padding, shape (B, 1, T).
        smoothing_weight: λ, weight of the smoothing.
        smoothing_clamp: τ, in nats; larger |Δ| are real boundaries and have no gradient.
    """
    precision = torch.promote_types(logits.dtype, torch.float32)
    log_probabilities = torch.log_softmax(logits, dim=2, dtype=precision)
    loss = _cross_entropy(log_probabilities, targets)
    if smoothing_weight:
        loss = loss + smoothing_weight * _smoothing(log_probabilities, frame_mask, smoothing_clamp)
    return loss


def _cross_entropy(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    stages = log_probabilities.shape[0]
    valid = targets != IGNORE_INDEX
    index = targets.clamp(min=0).expand(stages, *targets.shape).unsqueeze(2)  # (B, T) -> (S, B, 1, T)
    # Gather, not nll_loss: the latter has no deterministic form on CUDA.
    of_targets = log_probabilities.gather(2, index).squeeze(2)  # (S, B, 1, T) -> (S, B, T)
    return -(of_targets * valid).sum() / valid.sum().clamp(min=1)


def _smoothing(log_probabilities: Tensor, frame_mask: Tensor, clamp: float) -> Tensor:
    pairs = frame_mask[..., 1:] * frame_mask[..., :-1]  # (B, 1, T) -> (B, 1, T - 1)
    change = log_probabilities[..., 1:] - log_probabilities[..., :-1].detach()
    truncated = change.clamp(-clamp, clamp).square()  # (S, B, C, T - 1)
    classes = log_probabilities.shape[2]
    return (truncated * pairs).sum() / (pairs.sum() * classes).clamp(min=1)
