"""Giving the convolutions of any network branches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain

import torch
from torch import nn

from g2l.receptive_field.branch_conv import BranchConv1d, BranchConv2d, BranchConv3d
from g2l.receptive_field.branch_layer import INITIAL_ALPHA, Branches, BranchLayer
from g2l.receptive_field.branch_transposed import (
    BranchConvTranspose1d,
    BranchConvTranspose2d,
    BranchConvTranspose3d,
)
from g2l.receptive_field.classes import Convolution, Derived, derive, restore_class
from g2l.receptive_field.eligibility import layer_geometry
from g2l.receptive_field.geometry import Geometry
from g2l.receptive_field.layers import wide_layers
from g2l.receptive_field.padded import PaddedLayer
from g2l.receptive_field.rates import Expansion

BRANCHED: dict[type[Convolution], type[Derived]] = {
    nn.Conv1d: BranchConv1d,
    nn.Conv2d: BranchConv2d,
    nn.Conv3d: BranchConv3d,
    nn.ConvTranspose1d: BranchConvTranspose1d,
    nn.ConvTranspose2d: BranchConvTranspose2d,
    nn.ConvTranspose3d: BranchConvTranspose3d,
}
"""Our class for each class of torch."""


@dataclass(frozen=True)
class ConversionReport:
    """What `convert` did.

    Attributes:
        converted: Names of the layers that now have branches, in the order of the network.
        skipped: Why each other convolution with a kernel above 1 has none.
    """

    converted: tuple[str, ...]
    skipped: Mapping[str, str]


def convert(
    model: nn.Module,
    *,
    max_rate: int,
    expansion_rate: float = 0.1,
    branches: int = 3,
    names: str | Sequence[str] = "*",
    kernel_sizes: Collection[int | tuple[int, ...]] | None = None,
    types: Collection[type[nn.Module]] | None = None,
    causal: bool | None = None,
) -> ConversionReport:
    """Give every convolution with an odd kernel above 1 branches, in place.

    Modules and parameters stay the same objects, only `alpha` is new: whatever refers to a convolution goes
    on working, hooks, parametrizations and the `forward` of subclasses included. A convolution that is used
    at several places is one layer.

    Args:
        model: The network.
        max_rate: Largest rate, which only the data can tell: at most the length of the longest input. A layer
            that starts above it is clamped.
        expansion_rate: ρ: branch rates are (1 − ρ)d … (1 + ρ)d.
        branches: Branches per layer, odd so that the present rate is one of them, or 2.
        names: Patterns such as `encoder.*`; a layer takes part whose name matches one.
        kernel_sizes: Kernel sizes that take part, a number meaning that of every axis; None for all.
        types: Classes of convolutions that take part; None for all.
        causal: Whether plain convolutions read nothing later along their first axis, being padded or cut
            outside of themselves; None to tell by the padding, which is (K − 1)·d where the end is cut off
            afterwards. Subclasses that pad themselves are tried out instead.

    Returns:
        What was converted and what was not.

    Raises:
        InputError: A number is out of range.
    """
    expansion = Expansion(expansion_rate=expansion_rate, branches=branches, max_rate=max_rate)
    patterns = [names] if isinstance(names, str) else names
    converted, skipped = [], {}
    for name, module in wide_layers(model).items():
        if isinstance(module, BranchLayer):
            skipped[name] = "has branches already"
        elif not (
            any(fnmatchcase(name, pattern) for pattern in patterns)
            and (kernel_sizes is None or _has_kernel(module, kernel_sizes))
            and (types is None or isinstance(module, tuple(types)))
        ):
            skipped[name] = "is not selected"
        elif isinstance(geometry := layer_geometry(module, causal), str):
            skipped[name] = geometry
        else:
            add_branches(module, geometry, expansion)
            converted.append(name)
    return ConversionReport(tuple(converted), skipped)


def add_branches(conv: Convolution, geometry: Geometry, expansion: Expansion) -> BranchLayer:
    """Make a convolution one with branches around its present rate, and return it.

    Args:
        conv: The convolution.
        geometry: What its taps read.
        expansion: How its rate becomes several.
    """
    if isinstance(conv, PaddedLayer):
        restore_class(conv)
    # Not the weight itself: to compute a parametrized one may change it (spectral norm does).
    like, rates = next(chain(conv.parameters(), conv.buffers())), conv.dilation
    derive(conv, BRANCHED)
    assert isinstance(conv, BranchLayer)
    alpha = torch.full((expansion.branches,), INITIAL_ALPHA, device=like.device, dtype=like.dtype)
    conv.alpha = nn.Parameter(alpha)
    conv.geometry, conv.branches = geometry, Branches(rates=(rates,), expansion=expansion)
    conv.expand(rates)
    return conv


def _has_kernel(module: Convolution, sizes: Collection[int | tuple[int, ...]]) -> bool:
    taps = module.kernel_size
    return taps in sizes or (len(set(taps)) == 1 and taps[0] in sizes)
