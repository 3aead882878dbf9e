"""MS-TCN (CVPR 2019) and MS-TCN++ (TPAMI 2020), with the dilation rate of every layer as an argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.errors import InputError
from g2l.kernels.dropout import Dropout
from g2l.kernels.pointwise import PointwiseConv1d, side_by_side
from g2l.kernels.residual import residual_layer
from g2l.models.convolutions import as_taps, convolve, dilated_convolution, is_called_plainly
from g2l.structure import DilationStructure


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


class Stage(nn.Module):
    """1x1 convolution in, dilated residual layers, 1x1 convolution out (MS-TCN, section 3.1)."""

    def __init__(
        self,
        rates: Sequence[int],
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


class PredictionStage(nn.Module):
    """1x1 convolution in, dual dilated layers, 1x1 convolution out (MS-TCN++, section 4.1).

    Each kind of convolution is a list over the layers, as in the checkpoints, so the order of its modules is
    that of its rates: those of all first convolutions, then those of all second ones.
    """

    def __init__(
        self,
        rates: Sequence[int],
        in_channels: int,
        feature_maps: int,
        num_classes: int,
        dropout: float,
        *,
        causal: bool,
    ) -> None:
        super().__init__()
        layers, odd = divmod(len(rates), 2)
        if odd:
            raise InputError(
                f"`structure` must have two rates per layer in its first stage, but has {len(rates)} in all."
            )
        self.conv_1x1_in = PointwiseConv1d(in_channels, feature_maps, by_frame=True)
        self.conv_dilated_1, self.conv_dilated_2 = (
            nn.ModuleList(dilated_convolution(feature_maps, rate, causal=causal) for rate in half)
            for half in (rates[:layers], rates[layers:])
        )
        self.conv_fusion = nn.ModuleList(
            PointwiseConv1d(2 * feature_maps, feature_maps, by_frame=True) for _ in range(layers)
        )
        self.dropout = Dropout(dropout)
        self.conv_out = PointwiseConv1d(feature_maps, num_classes)

    def forward(self, inputs: Tensor, frame_mask: Tensor | None) -> Tensor:
        """Map (B, in_channels, T) to logits (B, C, T); `frame_mask` is (B, 1, T) or None."""
        maps = self.conv_1x1_in(inputs)
        if frame_mask is not None:
            maps = maps * frame_mask
        layers = zip(self.conv_dilated_1, self.conv_dilated_2, self.conv_fusion, strict=True)
        for first, second, fusion in layers:
            both = side_by_side(convolve(first, maps), convolve(second, maps))
            residual = self.dropout(functional.relu(fusion(both)))
            # Dilated convolutions read the padding, which must stay zero.
            maps = maps + (residual if frame_mask is None else residual * frame_mask)
        logits: Tensor = self.conv_out(maps)
        return logits


class MSTCN(nn.Module):
    """Stages of dilated residual layers, each refining the class probabilities of the one before.

    Parameter names are those of published checkpoints. Logits of valid frames depend neither on the content
    nor on the number of padded frames (deviation: the released code of MS-TCN pads the first layer of each
    stage with the bias of its 1x1 convolution instead of with zeros).

    Args:
        structure: Rates of all stages; rates beyond the length of a video are allowed.
        feature_dim: D.
        num_classes: C.
        feature_maps: Channels F inside a stage (MS-TCN, section 3: 64).
        dropout: Probability of dropping an element of a layer's residual (MS-TCN: 0.5).
        causal: Whether no logit depends on later frames.
    """

    FIRST: ClassVar[tuple[str, type[nn.Module]]] = ("stage1", Stage)
    LATER: ClassVar[str] = "stages"

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
        rates, *later = structure.stages
        name, first = self.FIRST
        self.add_module(name, first(rates, feature_dim, feature_maps, num_classes, dropout, causal=causal))
        stages = (
            Stage(rates, num_classes, feature_maps, num_classes, dropout, causal=causal) for rates in later
        )
        self.add_module(self.LATER, nn.ModuleList(stages))

    def forward(self, features: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """Return the logits of every stage, (S, B, C, T); values at padded frames mean nothing.

        `features` is (B, D, T); `frame_mask` (B, 1, T), 1 for valid frames and 0 for padding, or None.
        """
        logits = [getattr(self, self.FIRST[0])(features, frame_mask)]
        for stage in getattr(self, self.LATER):
            logits.append(stage(functional.softmax(logits[-1], dim=1), frame_mask))
        return torch.stack(logits)


class MSTCNPlusPlus(MSTCN):
    """A prediction stage of dual dilated layers, then refinement stages as in MS-TCN, none sharing weights.

    The first stage of its structure holds the rates of the first convolutions of its layers, then those of
    the second ones.
    """

    FIRST = ("PG", PredictionStage)
    LATER = "Rs"
