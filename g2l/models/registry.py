"""Backbones by name."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

from torch import nn

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.models.asformer import ASFormer
from g2l.models.ms_tcn import MSTCN, MSTCNPlusPlus
from g2l.structure import DilationStructure


class BackboneFactory(Protocol):
    """Builds a network of given rates; a class with this constructor is one.

    - The network maps features (B, D, T) and a frame mask (B, 1, T) or None to logits (S, B, C, T).
    - The last of the S outputs is the prediction; logits of valid frames do not depend on padded ones.
    - Its convolutions with a kernel above 1 have the rates of the structure, in the order of its modules.

    The last line is what the local search needs. Ours with a causal variant also take `causal`.
    """

    def __call__(
        self,
        structure: DilationStructure,
        *,
        feature_dim: int,
        num_classes: int,
        feature_maps: int,
        dropout: float,
    ) -> nn.Module:
        """Return a newly initialised network."""


BACKBONES: dict[str, BackboneFactory] = {
    "asformer": ASFormer,
    "ms-tcn": MSTCN,
    "ms-tcn++": MSTCNPlusPlus,
}
"""Backbones that come with g2l; others are named `package.module:factory`."""


def build_backbone(
    config: BackboneConfig, structure: DilationStructure, *, feature_dim: int, num_classes: int
) -> nn.Module:
    """Return a newly initialised network, in training mode, on the CPU."""
    config.fit(structure)
    variant = {"causal": True} if config.causal else {}
    network = find_backbone(config.name)(
        structure,
        feature_dim=feature_dim,
        num_classes=num_classes,
        feature_maps=config.feature_maps,
        dropout=config.dropout,
        **variant,
    )
    if not isinstance(network, nn.Module):
        raise InputError(
            f"`backbone` {config.name!r} must return a torch.nn.Module, "
            f"but returned {type(network).__name__} instead."
        )
    return network


def find_backbone(name: str) -> BackboneFactory:
    """Return the backbone of a name; that of an unknown one is imported."""
    if name in BACKBONES:
        return BACKBONES[name]
    module_name, separator, attribute = name.partition(":")
    if not (module_name and separator and attribute):
        raise InputError(
            f"`backbone` must be a known name or package.module:factory, but is {name!r} instead.",
            hint=f"known names: {', '.join(sorted(BACKBONES))}.",
        )
    try:
        factory = getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(
            f"`backbone` {name!r} cannot be imported ({error}).",
            hint=f"put its folder on PYTHONPATH, or use one of: {', '.join(sorted(BACKBONES))}.",
        ) from error
    if not callable(factory):
        raise InputError(f"`backbone` {name!r} must be callable, but is {type(factory).__name__} instead.")
    return factory  # type: ignore[no-any-return]
