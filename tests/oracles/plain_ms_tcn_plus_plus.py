"""MS-TCN++ as the paper describes it, one video at a time; nothing here is shared with g2l."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PlainMSTCNPlusPlus(nn.Module):
    """A prediction generation stage, then refinement stages that each see the softmax of the one before.

    Args:
        pairs: Of each layer of the prediction stage the rates of its first and of its second convolution.
        refinements: Of each refinement stage its rates.
        feature_dim: D.
        num_classes: C.
        maps: Channels inside a stage.
    """

    def __init__(
        self,
        pairs: list[tuple[int, int]],
        refinements: list[list[int]],
        feature_dim: int,
        num_classes: int,
        maps: int = 64,
    ) -> None:
        super().__init__()
        self.PG = PlainPrediction(pairs, feature_dim, num_classes, maps)
        self.Rs = nn.ModuleList(PlainRefinement(rates, num_classes, maps) for rates in refinements)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map one video (1, D, T) to one (1, C, T) per stage."""
        outputs = [self.PG(x)]
        for stage in self.Rs:
            outputs.append(stage(torch.softmax(outputs[-1], dim=1)))
        return outputs


class PlainPrediction(nn.Module):
    def __init__(self, pairs: list[tuple[int, int]], feature_dim: int, num_classes: int, maps: int) -> None:
        super().__init__()
        self.conv_1x1_in = nn.Conv1d(feature_dim, maps, 1)
        self.conv_dilated_1 = nn.ModuleList(dilated(maps, rate) for rate, _ in pairs)
        self.conv_dilated_2 = nn.ModuleList(dilated(maps, rate) for _, rate in pairs)
        self.conv_fusion = nn.ModuleList(nn.Conv1d(2 * maps, maps, 1) for _ in pairs)
        self.dropout = nn.Dropout(0.5)
        self.conv_out = nn.Conv1d(maps, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_1x1_in(x)
        for layer in range(len(self.conv_fusion)):
            both = torch.cat([self.conv_dilated_1[layer](x), self.conv_dilated_2[layer](x)], dim=1)
            x = x + self.dropout(torch.relu(self.conv_fusion[layer](both)))
        logits: Tensor = self.conv_out(x)
        return logits


class PlainRefinement(nn.Module):
    def __init__(self, rates: list[int], num_classes: int, maps: int) -> None:
        super().__init__()
        self.conv_1x1 = nn.Conv1d(num_classes, maps, 1)
        self.layers = nn.ModuleList(PlainResidual(rate, maps) for rate in rates)
        self.conv_out = nn.Conv1d(maps, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_1x1(x)
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.conv_out(x)
        return logits


class PlainResidual(nn.Module):
    def __init__(self, rate: int, maps: int) -> None:
        super().__init__()
        self.conv_dilated = dilated(maps, rate)
        self.conv_1x1 = nn.Conv1d(maps, maps, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.dropout(self.conv_1x1(torch.relu(self.conv_dilated(x))))
        return result


def dilated(maps: int, rate: int) -> nn.Conv1d:
    return nn.Conv1d(maps, maps, 3, padding=rate, dilation=rate)
