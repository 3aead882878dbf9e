"""Several MS-TCNs of one size as one network: same input and dropout, own weights and rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.kernels.dropout import Dropout
from g2l.models.ms_tcn import MSTCN
from g2l.structure import DilationStructure

LANES = 16
"""float32 elements of the widest vector registers: what the pieces of a candidate are padded to."""

_TAPS = [0, 2, 1]
"""Order in which the taps of a dilated convolution are kept: earlier frame, later frame, the frame itself."""


class CandidateBatch(nn.Module):
    """P networks with the architecture and the weights of one, each with rates of its own.

    A step of a small network costs its number of operations rather than their size wherever a device is fast;
    P candidates share them here. They do not interact: what becomes of one is the same, bit for bit,
    whichever others there are and at whichever position it is, if the number of frames is a multiple of
    `LANES`. Then each candidate's piece of each tensor consists of whole vector registers, and no element
    falls to the loop over a remainder, which rounds in its own way.

    All weights are one parameter, so that an optimiser takes one operation for all of them.

    Args:
        network: Gives sizes and initial weights.
        structures: Rates of each candidate, of the shape of the network's.

    Attributes:
        weights: (P, M), M being the padded number of weights of a network.
    """

    def __init__(self, network: MSTCN, structures: Sequence[DilationStructure]) -> None:
        super().__init__()
        self.structures = tuple(structures)
        self._pieces = [_Piece(name, weight) for name, weight in network.named_parameters()]
        self._depths = self.structures[0].shape
        self.dropout = next(layer for layer in network.modules() if isinstance(layer, Dropout)).p
        packed = torch.cat([piece.pack(weight) for piece, weight in self._weights_of(network)])
        self.weights = nn.Parameter(packed.expand(len(self.structures), -1).clone())

    def forward(self, features: Tensor, frame_mask: Tensor | None) -> Tensor:
        """Return the logits of every stage of every candidate.

        Args:
            features: (B, D, T), shared by all candidates.
            frame_mask: (B, 1, T), 1 for valid frames and 0 for padding; None when all are valid.

        Returns:
            (S * P, B, C, T), of each stage all candidates. Values at padded frames mean nothing.
        """
        weights = iter(self._views())
        rates = zip(*(structure.rates for structure in self.structures), strict=True)
        batch, _, frames = features.shape
        mask = features.new_ones(1, batch, frames)
        if frame_mask is not None:
            mask = frame_mask.transpose(0, 1)  # (B, 1, T) -> (1, B, T)
        inputs = features.transpose(0, 1)  # (B, D, T) -> (D, B, T)
        logits: list[Tensor] = []
        for depth in self._depths:
            if logits:
                # As its own operation softmax rounds where the pieces of threads meet, as it happens to.
                inputs = functional.log_softmax(logits[-1], dim=1).exp()
            maps = _pointwise(inputs, next(weights), next(weights)) * mask
            for _ in range(depth):
                mixed = functional.relu(_dilated(maps, next(weights), next(weights), next(rates)))
                residual = _pointwise(mixed, next(weights), next(weights))
                # Padding stays zero, so that no dilated convolution needs to clear it.
                maps = torch.addcmul(maps, residual, self._kept(mask, residual))
            logits.append(_pointwise(maps, next(weights), next(weights)))
        return torch.cat(logits).transpose(1, 2)  # S of (P, C, B, T) -> (S * P, B, C, T)

    def clip_gradients(self, norm: float) -> None:
        """Let the gradient of each candidate have at most this norm, from now on."""

        def clipped(gradient: Tensor) -> Tensor:
            norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)  # (P, 1)
            # As `nn.utils.clip_grad_norm_` does for a single network.
            factors: Tensor = (norm / (norms + 1e-6)).clamp(max=1.0)
            return gradient * factors

        self.weights.register_hook(clipped)  # type: ignore[no-untyped-call]

    def load_into(self, network: MSTCN, candidate: int) -> None:
        """Give `network` the weights of a candidate; its rates are left alone."""
        rows = self._split(self.weights.detach()[candidate])
        with torch.no_grad():
            for (piece, weight), row in zip(self._weights_of(network), rows, strict=True):
                weight.copy_(piece.unpack(row).reshape(weight.shape))

    def _weights_of(self, network: nn.Module) -> Iterable[tuple[_Piece, nn.Parameter]]:
        return zip(self._pieces, network.parameters(), strict=True)

    def _views(self) -> list[Tensor]:
        """Return the weights piece by piece, each (P, …)."""
        rows = self._split(self.weights)
        return [piece.view(of_layer) for piece, of_layer in zip(self._pieces, rows, strict=True)]

    def _split(self, rows: Tensor) -> tuple[Tensor, ...]:
        return torch.split_with_sizes(rows, [piece.room for piece in self._pieces], dim=-1)

    def _kept(self, mask: Tensor, residual: Tensor) -> Tensor:
        """Return what a residual (P, F, B, T) is multiplied by, (F, B, T) or broadcast to it."""
        if not self.training or self.dropout == 0:
            return mask
        _, channels, batch, frames = residual.shape
        # Frame by frame, as the maps of a single network lie: so the coins fall as they do there.
        kept: Tensor = Dropout(self.dropout)(residual.new_ones(batch, frames, channels))
        return kept.permute(2, 0, 1) * mask  # (B, T, F) -> (F, B, T)


class _Piece:
    """Where the weight of a layer is among all weights, and how it is turned.

    Args:
        name: Of the parameter.
        weight: (O,), (O, I, 1) or (O, I, K).

    Attributes:
        room: Elements it takes, padding included.
    """

    def __init__(self, name: str, weight: Tensor) -> None:
        self._dilated = weight.dim() == 3 and weight.shape[2] > 1
        self._shape = tuple(self._turned(weight).shape)
        self._size = prod(self._shape)
        self.room = -(-self._size // LANES) * LANES

    def pack(self, weight: Tensor) -> Tensor:
        """Return a weight of the network as (room,)."""
        turned = self._turned(weight.detach()).flatten()
        return functional.pad(turned, (0, self.room - self._size))

    def unpack(self, row: Tensor) -> Tensor:
        """Return what `pack` was given, but for axes of length 1."""
        weight = row[: self._size].view(self._shape)
        if not self._dilated:
            return weight
        return weight[_TAPS].permute(1, 2, 0)

    def view(self, rows: Tensor) -> Tensor:
        """Return rows (P, room) as (P, O, I), (P, O, 1) for a bias, (P, 3, O, I) for a dilated weight."""
        return rows[:, : self._size].view(-1, *self._shape)

    def _turned(self, weight: Tensor) -> Tensor:
        if self._dilated:
            return weight.permute(2, 0, 1)[_TAPS]  # (O, I, K) -> (K, O, I)
        return weight.view(len(weight), -1)


def _pointwise(inputs: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """Return matrix (P, O, I) times inputs (P, I, B, T), or (I, B, T) shared by all, as (P, O, B, T)."""
    flat = inputs.flatten(-2)  # (…, I, B * T)
    if flat.dim() == 3:
        product = torch.baddbmm(bias, matrix, flat)
    else:
        product = torch.addmm(bias.flatten(0, 1), matrix.flatten(0, 1), flat)  # (P * O, B * T)
    return product.view(*matrix.shape[:2], *inputs.shape[-2:])


def _dilated(maps: Tensor, taps: Tensor, bias: Tensor, rates: Sequence[int]) -> Tensor:
    """Return the dilated convolution of maps (P, I, B, T) with taps (P, 3, O, I), as (P, O, B, T)."""
    centre = _pointwise(maps, taps[:, 2], bias)
    sides = torch.bmm(taps[:, :2].flatten(1, 2), maps.flatten(2))  # (P, 2 * O, B * T)
    sides = sides.view(len(maps), 2, -1, *maps.shape[2:])
    total: Tensor = _AddShifted.apply(centre, sides, rates)  # type: ignore[no-untyped-call]
    return total


class _AddShifted(torch.autograd.Function):
    """Adds to a tensor what its neighbours at each candidate's rate have for it."""

    @staticmethod
    def forward(ctx: Any, centre: Tensor, sides: Tensor, rates: Sequence[int]) -> Tensor:
        """Add sides (P, 2, O, B, T), of the earlier and the later frame, to centre (P, O, B, T) in place."""
        ctx.rates = rates
        for total, (earlier, later), rate in zip(centre, sides, rates, strict=True):
            total[..., rate:] += earlier[..., :-rate]
            total[..., :-rate] += later[..., rate:]
        ctx.mark_dirty(centre)
        return centre

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients of centre and sides."""
        (gradient,) = gradients
        candidates, *rest = gradient.shape
        sides = gradient.new_zeros(candidates, 2, *rest)
        for total, (earlier, later), rate in zip(gradient, sides, ctx.rates, strict=True):
            earlier[..., :-rate] = total[..., rate:]
            later[..., rate:] = total[..., :-rate]
        return gradient, sides, None
