"""A convolution at several dilation rates at once, with one shared weight (G2L, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from g2l.errors import InputError
from g2l.receptive_field.mixing import mix_taps
from g2l.receptive_field.rates import Expansion, expectation, expected_rate, mixing_weights

SHORT = 1024
"""Frames below which, on a CPU, a matrix product is quicker than torch's convolution (measured: 300 frames by
1.5 to 3 times, 1,100 frames no more)."""
INITIAL_ALPHA = 0.01
"""Raw branch weight after every expansion, as in the released code."""

_HOOK_TABLES = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the branch weights of one layer say.

    Attributes:
        branches: Its branch rates d_i, ascending.
        weights: Their mixing weights w_i, summing to 1.
        expectation: Σ w_i d_i.
        rate: The expectation, rounded and clamped.
    """

    branches: tuple[int, ...]
    weights: tuple[float, ...]
    expectation: float
    rate: int


class BranchConv1d(nn.Module):
    """Stands in for an `nn.Conv1d`: output Σ_i w_i conv_{d_i}(x), w_i = |α_i| / Σ|α_j|.

    Weight and bias are the very parameters of the convolution it replaces, so names in a state dict stay;
    `alpha`, shape (expansion.branches,), is added. The branch rates are no part of the state dict: whoever
    drives the search restores them with `expand` before weights are loaded. `alpha` keeps its size when
    the clamp merges branches: the first len(rates) entries are in use, the others have no effect.

    Deviation from the released 1-D code: branches are mixed before the ReLU, as in RF-Next, so that a
    branch convolution is a convolution with a sparse longer kernel.

    Args:
        conv: A convolution that `unsupported` has no objection to.
        expansion: How a rate becomes the rates of the branches.

    Shape:
        (B, C_in, T) or (C_in, T) to (B, C_out, ceil(T / stride)), for every T >= 1.
    """

    def __init__(self, conv: nn.Conv1d, expansion: Expansion) -> None:
        super().__init__()
        self._replaced = (conv,)  # in a tuple, which torch does not take for a submodule
        self.expansion = expansion
        self.in_channels, self.out_channels = conv.in_channels, conv.out_channels
        self.kernel_size, self.stride, self.groups = conv.kernel_size, conv.stride, conv.groups
        self.weight, self.bias = conv.weight, conv.bias
        alpha = torch.full((expansion.branches,), INITIAL_ALPHA, device=conv.weight.device)
        self.alpha = nn.Parameter(alpha.to(conv.weight.dtype))
        self.train(conv.training)
        _share_hooks(conv, self)
        self.expand(conv.dilation[0])

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed convolution of `x`; shapes as in the description of the class."""
        (taps,), (stride,) = self.kernel_size, self.stride
        mixed = mix_taps(x, self.alpha[: len(self.rates)], self.rates, taps, stride)
        # (…, C_in, K, T') -> (…, C_in·K, T'); the weight (C_out, C_in / groups, K) flattens alike.
        return self._product(mixed.flatten(-3, -2), self.weight.flatten(1))

    def _product(self, mixed: Tensor, weight: Tensor) -> Tensor:
        """Return the 1x1 convolution of `mixed` (…, C_in·K, T') by `weight` (C_out, C_in·K / groups)."""
        short = mixed.dim() == 3 and mixed.shape[-1] < SHORT and mixed.device.type == "cpu"
        if not short or self.groups > 1 or self.bias is None:
            return functional.conv1d(mixed, weight.unsqueeze(-1), self.bias, groups=self.groups)
        matrix = weight.expand(len(mixed), -1, -1)  # (O, I) -> (B, O, I)
        return torch.baddbmm(self.bias.unsqueeze(1).expand(len(mixed), -1, 1), matrix, mixed)

    def estimate(self) -> Estimate:
        """Return what the branch weights say; changes nothing."""
        weights = mixing_weights(self.alpha[: len(self.rates)].tolist())
        return Estimate(
            branches=self.rates,
            weights=weights,
            expectation=expectation(self.rates, weights),
            rate=expected_rate(self.rates, weights, max_rate=self.expansion.max_rate),
        )

    def expand(self, rate: int) -> None:
        """Set branches around `rate`, which is clamped, and start their weights anew."""
        self.rate = self.expansion.clamp(rate)
        self.set_branches(self.expansion.branch_rates(rate))

    def set_branches(self, rates: Sequence[int]) -> None:
        """Set the branch rates and reset `alpha`, which stays the same parameter.

        Raises:
            InputError: There are no rates, more than `expansion.branches`, or one is below 1.
        """
        if not 1 <= len(rates) <= len(self.alpha) or min(rates) < 1:
            raise InputError(
                f"`rates` must hold 1 to {len(self.alpha)} rates >= 1, but is {tuple(rates)} instead."
            )
        self.rates = tuple(rates)
        with torch.no_grad():
            self.alpha.fill_(INITIAL_ALPHA)

    def collapse(self, rate: int) -> nn.Conv1d:
        """Return the convolution that this module stood in for, at `rate` and with the present parameters."""
        (conv,) = self._replaced
        conv.weight, conv.bias = self.weight, self.bias
        conv.dilation = (rate,)
        if conv.padding != "same":
            conv.padding = (rate * (self.kernel_size[0] // 2),)
        conv.train(self.training)
        _share_hooks(self, conv)
        return conv

    def extra_repr(self) -> str:
        """Return what `print(model)` shows."""
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, rates={self.rates}"


def unsupported(module: nn.Module) -> str | None:
    """Return why a convolution cannot be given branches, or None where it can.

    A subclass of `nn.Conv1d` is tried on random input, because its `forward` may do anything.
    """
    if not isinstance(module, nn.Conv1d):
        return f"is a {type(module).__name__}, only Conv1d is supported"
    if "weight" not in module._parameters:
        return "its weight is computed from other parameters"
    (taps,), (rate,), (stride,) = module.kernel_size, module.dilation, module.stride
    if taps % 2 == 0:
        return f"its kernel size {taps} is even"
    if module.padding_mode != "zeros":
        return f"its padding mode is {module.padding_mode}"
    same = module.padding == "same" and stride == 1
    if not same and module.padding != (rate * (taps // 2),):
        return f"its padding {module.padding} does not keep the length at dilation {rate}"
    if type(module) is not nn.Conv1d and not _computes_a_convolution(module):
        return f"is a {type(module).__name__}, which computes something else than Conv1d"
    return None


def _computes_a_convolution(conv: nn.Conv1d) -> bool:
    (taps,), (rate,) = conv.kernel_size, conv.dilation
    # Its own generator, so that the random numbers of a training stay what they are.
    probe = torch.randn(1, conv.in_channels, taps * rate + 1, generator=torch.Generator().manual_seed(0))
    probe = probe.to(conv.weight)
    with torch.no_grad():
        expected = nn.Conv1d.forward(conv, probe)
        found = conv.forward(probe)
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-2, atol=1e-3)


def _share_hooks(source: nn.Module, target: nn.Module) -> None:
    """Move forward and backward hooks; handles to remove them stay valid, since the tables are the same."""
    for name in (*_HOOK_TABLES, "_is_full_backward_hook"):
        setattr(target, name, getattr(source, name))
