"""The loss of MS-TCN (section 3.2): cross-entropy plus truncated smoothing, all stages in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from g2l.config import ClassWeights
from g2l.datasets.batching import IGNORE_INDEX

EFFECTIVE_BETA = 0.9999
"""β of the effective number of frames: classes of far more than 1 / (1 − β) frames weigh about the same."""


def class_weights(counts: Tensor, kind: ClassWeights) -> Tensor:
    """Return the weight of each class in the cross-entropy.

    `counts` are the frames of each class, (C,). `inverse` is 1 / n; `effective` is (1 − β) / (1 − β^n)
    (Cui et al., Class-Balanced Loss, CVPR 2019, equation 3), which rises less steeply for rare classes. The
    mean weight of a frame is 1, which keeps the learning rate's meaning. A class without frames has weight 0.
    """
    frames = counts.double()
    share = frames if kind is ClassWeights.INVERSE else 1 - EFFECTIVE_BETA**frames
    weights = torch.where(counts > 0, 1 / share.clamp(min=1e-12), 0.0)
    return (weights * frames.sum() / (weights * frames).sum().clamp(min=1e-12)).float()


@dataclass(frozen=True)
class LossCounts:
    """Denominators of the loss: frames with a target, and valid pairs of neighbouring frames; scalars."""

    frames: Tensor
    pairs: Tensor

    @classmethod
    def of(cls, targets: Tensor, frame_mask: Tensor) -> LossCounts:
        """Return those of a batch: targets (B, T), frame mask (B, 1, T)."""
        return cls((targets != IGNORE_INDEX).sum(), _pairs(frame_mask).sum())


def segmentation_loss(
    logits: Tensor,
    targets: Tensor,
    frame_mask: Tensor,
    *,
    smoothing_weight: float,
    smoothing_clamp: float,
    counts: LossCounts | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the loss summed over stages: a scalar in the precision of the logits, float32 at least.

    Each stage adds the mean cross-entropy over the valid frames of the batch and `smoothing_weight` times
    the mean of min(Δ², τ²) over the valid pairs of neighbouring frames and the classes, where
    Δ = log-softmax(t) − stop-gradient(log-softmax(t − 1)).

    Deviation: the released code averages the smoothing over padded frames too, so that its scale depends on
    how videos are batched; here only valid pairs count. Without a valid pair (one frame) the term is zero.

    Args:
        logits: Scores of all stages, (S, B, C, T).
        targets: Class indices, -100 where there is none, (B, T).
        frame_mask: 1 for frames of the video and 0 for padding, (B, 1, T).
        smoothing_weight: λ.
        smoothing_clamp: τ, in nats; larger |Δ| are real boundaries and have no gradient.
        counts: Those of the batch of which this is a part, so that the losses of all parts add up to its own.
        weights: Weight of each class in the cross-entropy, (C,).
    """
    counts = counts or LossCounts.of(targets, frame_mask)
    precision = torch.promote_types(logits.dtype, torch.float32)
    log_probabilities = torch.log_softmax(logits, dim=2, dtype=precision)
    loss = _cross_entropy(log_probabilities, targets, weights) / counts.frames.clamp(min=1)
    if smoothing_weight:
        changes = (counts.pairs * logits.shape[2]).clamp(min=1)
        smoothing = _smoothing(log_probabilities, frame_mask, smoothing_clamp) / changes
        loss = loss + smoothing_weight * smoothing
    return loss


def _pairs(frame_mask: Tensor) -> Tensor:
    return frame_mask[..., 1:] * frame_mask[..., :-1]  # (B, 1, T) -> (B, 1, T - 1)


def _cross_entropy(log_probabilities: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    classes, frames = targets.clamp(min=0), targets != IGNORE_INDEX  # (B, T)
    index = classes.expand(len(log_probabilities), *targets.shape).unsqueeze(2)  # (B, T) -> (S, B, 1, T)
    # Gather, not nll_loss: the latter has no deterministic form on CUDA.
    of_targets = log_probabilities.gather(2, index).squeeze(2)  # (S, B, 1, T) -> (S, B, T)
    return -(of_targets * (frames if weights is None else frames * weights[classes])).sum()


def _smoothing(log_probabilities: Tensor, frame_mask: Tensor, clamp: float) -> Tensor:
    change = log_probabilities[..., 1:] - log_probabilities[..., :-1].detach()
    truncated = change.clamp(-clamp, clamp).square()  # (S, B, C, T - 1)
    return (truncated * _pairs(frame_mask)).sum()
