"""The loss written out stage by stage, video by video and frame by frame; slow and independent."""

from __future__ import annotations

from torch import Tensor

IGNORED = -100


def naive_loss(logits: Tensor, targets: Tensor, frame_mask: Tensor, *, weight: float, clamp: float) -> Tensor:
    total = logits.sum() * 0
    for stage in logits:
        total = total + _stage(stage, targets, frame_mask, weight, clamp)
    return total


def _stage(logits: Tensor, targets: Tensor, frame_mask: Tensor, weight: float, clamp: float) -> Tensor:
    entropies, squares = [], []
    for video, labels, mask in zip(logits, targets, frame_mask, strict=True):
        frames = [scores - scores.exp().sum().log() for scores in video.T]  # each (C,)
        entropies += [-frame[label] for frame, label in zip(frames, labels, strict=True) if label != IGNORED]
        for frame in range(1, len(frames)):
            if mask[0, frame] and mask[0, frame - 1]:
                change = frames[frame] - frames[frame - 1].detach()
                squares += [(value**2).clamp(max=clamp**2) for value in change]
    loss = logits.sum() * 0
    if entropies:
        loss = loss + sum(entropies[1:], entropies[0]) / len(entropies)
    if squares:
        loss = loss + weight * sum(squares[1:], squares[0]) / len(squares)
    return loss
