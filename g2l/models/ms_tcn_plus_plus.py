"""MS-TCN++ (TPAMI 2020), with the dilation rate of every convolution as an argument."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.errors import InputError
from g2l.kernels.dropout import Dropout
from g2l.kernels.pointwise import PointwiseConv1d, side_by_side
from g2l.models.convolutions import convolve, dilated_convolution
from g2l.models.ms_tcn import Stage
from g2l.structure import DilationStructure


class MSTCNPlusPlus(nn.Module):
    """A prediction stage of dual dilated layers, then refinement stages as in MS-TCN, none sharing weights.

    Parameter names are those of published checkpoints: `PG.…` and `Rs.{r}.…`. Logits of valid frames depend
    neither on the content nor on the number of padded frames (the released code takes one video at a time).

    Args:
        structure: Rates of all stages: in the first one those of the L first convolutions of its layers, then
            those of the L second ones. Rates beyond the length of a video are allowed.
        feature_dim: D.
        num_classes: C.
        feature_maps: Channels F inside a stage (MS-TCN++: 64).
        dropout: Probability of dropping an element of a layer's residual (MS-TCN++: 0.5).
        causal: Whether no logit depends on later frames.

    Raises:
        InputError: The first stage has an odd number of rates.
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
        self.PG = PredictionStage(first, feature_dim, feature_maps, num_classes, dropout, causal=causal)
        self.Rs = nn.ModuleList(
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
        logits = [self.PG(features, frame_mask)]
        for stage in self.Rs:
            logits.append(stage(functional.softmax(logits[-1], dim=1), frame_mask))
        return torch.stack(logits)


class PredictionStage(nn.Module):
    """1x1 convolution in, dual dilated layers, 1x1 convolution out (MS-TCN++, section 4.1).

    Each kind of convolution is a list over the layers, as in the checkpoints, so the order of its modules is
    that of its rates.
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
