"""Dropout whose mask is cheap on a CPU (benchmark row: `training step`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# A float32 whose only set bit is bit 30 is exactly 2.0, by which p = 0.5 scales the kept elements.
_TWO = 0x40000000
# Shifts that bring each of the bits 0 … 30 to bit 30; bit 31 of a word is not used.
_SHIFTS = torch.arange(31, dtype=torch.int32).unsqueeze(1)  # (31, 1)


class Dropout(nn.Module):
    """Zero each element with probability p and scale the others by 1 / (1 − p), while training.

    Same distribution as `nn.Dropout`. For p = 0.5 on a CPU the mask is made of the bits of random words from
    torch's default generator, so that restoring its state repeats it; torch draws a word per element there,
    which is a quarter of a training step. On a CPU a mask follows the order of the elements in memory.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, features: Tensor) -> Tensor:
        """Return `features` of any shape with some elements dropped; unchanged in evaluation."""
        if features.device.type != "cpu" or torch.compiler.is_compiling():
            return functional.dropout(features, self.p, self.training)
        mask = self.mask(features)
        return features if mask is None else features * mask

    def mask(self, features: Tensor) -> Tensor | None:
        """Return what `forward` multiplies by on a CPU: zeros and 1 / (1 − p); None for 1 everywhere.

        Only the memory layout and the precision of `features` matter.
        """
        if not self.training or self.p == 0:
            return None
        count = features.numel()
        if self.p == 0.5 and features.dtype == torch.float32:
            flat = half_mask(count)
        else:
            flat = features.new_empty(count).bernoulli_(1 - self.p).div_(1 - self.p)
        # The strides of a new tensor that lies as the features do.
        return flat.as_strided(features.shape, torch.empty_like(features, device="meta").stride())

    def extra_repr(self) -> str:
        """Return the probability, for `repr`."""
        return f"p={self.p}"


def half_mask(count: int) -> Tensor:
    """Return `count` float32 zeros and twos on the CPU, each with probability 1/2, independent."""
    # A 64-bit word gives 2 x 31 elements.
    words = torch.empty(-(-count // 62), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int32) << _SHIFTS  # (2W,) -> (31, 2W)
    return bits.bitwise_and_(_TWO).view(torch.float32).flatten()[:count]
