"""MS-TCN and its loss as the paper describes them, stated plainly; nothing here is shared with g2l."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class PlainMSTCN(nn.Module):
    """Stages in a list; every stage refines the softmax of the one before (paper, equations 1 to 4)."""

    def __init__(
        self,
        rates: list[list[int]],
        feature_dim: int,
        num_classes: int,
        feature_maps: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        sizes = [feature_dim] + [num_classes] * (len(rates) - 1)
        stages = [
            PlainStage(stage, size, num_classes, feature_maps, dropout)
            for stage, size in zip(rates, sizes, strict=True)
        ]
        self.stage1 = stages[0]
        self.stages = nn.ModuleList(stages[1:])

    def forward(self, features: Tensor, mask: Tensor) -> list[Tensor]:
        """Map (B, D, T) and a mask per class (B, C, T) to one (B, C, T) per stage."""
        outputs = [self.stage1(features, mask)]
        for stage in self.stages:
            probabilities = torch.softmax(outputs[-1], dim=1) * mask
            outputs.append(stage(probabilities, mask))
        return outputs


class PlainStage(nn.Module):
    def __init__(
        self, rates: list[int], inputs: int, num_classes: int, feature_maps: int, dropout: float
    ) -> None:
        super().__init__()
        self.conv_1x1 = nn.Conv1d(inputs, feature_maps, kernel_size=1)
        self.layers = nn.ModuleList(PlainLayer(rate, feature_maps, dropout) for rate in rates)
        self.conv_out = nn.Conv1d(feature_maps, num_classes, kernel_size=1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.conv_1x1(x) * mask[:, 0:1, :]
        for layer in self.layers:
            x = layer(x, mask)
        logits: Tensor = self.conv_out(x) * mask
        return logits


class PlainLayer(nn.Module):
    def __init__(self, rate: int, feature_maps: int, dropout: float) -> None:
        super().__init__()
        self.conv_dilated = nn.Conv1d(feature_maps, feature_maps, 3, padding=rate, dilation=rate)
        self.conv_1x1 = nn.Conv1d(feature_maps, feature_maps, kernel_size=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        residual = torch.relu(self.conv_dilated(x))
        residual = self.dropout(self.conv_1x1(residual))
        masked: Tensor = (x + residual) * mask[:, 0:1, :]
        return masked


def plain_loss(
    outputs: list[Tensor], targets: Tensor, mask: Tensor, weight: float = 0.15, clamp: float = 4.0
) -> Tensor:
    """Sum over the stages of cross-entropy and truncated smoothing (paper, equations 5 to 10).

    The smoothing is averaged over classes and over the valid frames that have a predecessor.
    """
    total = outputs[0].new_zeros(())
    for logits in outputs:
        num_classes = logits.shape[1]
        flat = logits.transpose(1, 2).reshape(-1, num_classes)
        total = total + F.cross_entropy(flat, targets.reshape(-1), ignore_index=-100)
        now = F.log_softmax(logits[:, :, 1:], dim=1)
        before = F.log_softmax(logits[:, :, :-1].detach(), dim=1)
        squared = torch.clamp((now - before) ** 2, min=0, max=clamp**2) * mask[:, :, 1:]
        total = total + weight * squared.sum() / mask[:, :, 1:].sum().clamp(min=1)
    return total
