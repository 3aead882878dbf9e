"""MS-TCN (CVPR 2019), with the dilation rate of every layer as an argument."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.kernels.dropout import Dropout
from g2l.kernels.pointwise import PointwiseConv1d
from g2l.kernels.residual import residual_layer
from g2l.models.convolutions import as_taps, dilated_convolution, is_called_plainly
from g2l.structure import DilationStructure


class MSTCN(nn.Module):
    """Stages of dilated residual layers, each refining the class probabilities of the one before.

    Parameter names are those of published checkpoints: `stage1.…` and `stages.{s}.…`. Logits of valid frames
    depend neither on the content nor on the number of padded frames (deviation: the released code pads the
    first layer of each stage with the bias of its 1x1 convolution instead of with zeros).

    Args:
        structure: Rates of all stages; rates beyond the length of a video are allowed.
        feature_dim: D.
        num_classes: C.
        feature_maps: Channels F inside a stage (MS-TCN, section 3: 64).
        dropout: Probability of dropping an element of a layer's residual (MS-TCN: 0.5).
        causal: Whether no logit depends on later frames.
    """

    def __init__(
        self,
        structure: DilationStructure,
        *,
        feature_dim: int,
        num_classes: int,
        feature_maps: int = 64,
        dropout: float = 0.5,
        causal: bool = False,
    ) -> None:
        super().__init__()
        first, *later = structure.stages
        self.stage1 = Stage(first, feature_dim, feature_maps, num_classes, dropout, causal=causal)
        self.stages = nn.ModuleList(
            Stage(rates, num_classes, feature_maps, num_classes, dropout, causal=causal) for rates in later
        )

    def forward(self, features: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """Return the logits of every stage.

        Args:
            features: (B, D, T).
            frame_mask: (B, 1, T), 1 for valid frames and 0 for padding; None when all are valid.

        Returns:
            (S, B, C, T). Values at padded frames mean nothing.
        """
        logits = [self.stage1(features, frame_mask)]
        for stage in self.stages:
            logits.append(stage(functional.softmax(logits[-1], dim=1), frame_mask))
        return torch.stack(logits)


class Stage(nn.Module):
    """One stage: 1x1 convolution in, dilated residual layers, 1x1 convolution out (MS-TCN, section 3.1)."""

    def __init__(
        self,
        rates: tuple[int, ...],
        in_channels: int,
        feature_maps: int,
        num_classes: int,
        dropout: float,
        *,
        causal: bool,
    ) -> None:
        super().__init__()
        self.conv_1x1 = PointwiseConv1d(in_channels, feature_maps, by_frame=True)
        self.layers = nn.ModuleList(
            DilatedResidualLayer(rate, feature_maps, dropout, causal=causal) for rate in rates
        )
        self.conv_out = PointwiseConv1d(feature_maps, num_classes)

    def forward(self, inputs: Tensor, frame_mask: Tensor | None) -> Tensor:
        """Map (B, in_channels, T) to logits (B, C, T); `frame_mask` is (B, 1, T) or None."""
        maps = self.conv_1x1(inputs)
        if frame_mask is not None:
            maps = maps * frame_mask
        for layer in self.layers:
            maps = layer(maps, frame_mask)
        logits: Tensor = self.conv_out(maps)
        return logits


class DilatedResidualLayer(nn.Module):
    """x + dropout(conv_1x1(relu(conv_dilated(x)))) (MS-TCN, equations 1 and 2)."""

    def __init__(self, rate: int, feature_maps: int, dropout: float, *, causal: bool) -> None:
        super().__init__()
        self.conv_dilated = dilated_convolution(feature_maps, rate, causal=causal)
        self.conv_1x1 = PointwiseConv1d(feature_maps, feature_maps, by_frame=True)
        self.dropout = Dropout(dropout)

    def forward(self, maps: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """Map (B, F, T), zero in the padding, to (B, F, T), likewise; `frame_mask` is (B, 1, T) or None."""
        fused = self._fused(maps, frame_mask)
        if fused is not None:
            return fused
        residual: Tensor = self.dropout(self.conv_1x1(functional.relu(self.conv_dilated(maps))))
        return maps + (residual if frame_mask is None else residual * frame_mask)

    def _fused(self, maps: Tensor, frame_mask: Tensor | None) -> Tensor | None:
        """Return the same as one operation on a CPU, or None where hooks or subclasses need each module."""
        dilated, bias = as_taps(self.conv_dilated, maps), self.conv_1x1.bias
        if dilated is None or bias is None or not is_called_plainly(self.conv_1x1, PointwiseConv1d):
            return None
        if not is_called_plainly(self.dropout, Dropout):
            return None
        kept = self.dropout.mask(maps)
        if frame_mask is not None:
            kept = frame_mask if kept is None else kept * frame_mask
        return residual_layer(maps, dilated, self.conv_1x1.weight, bias, kept)
