"""State dicts that the code of the papers writes: `epoch-N.model`."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from g2l.config import BackboneConfig
from g2l.errors import InputError, no_such_file
from g2l.models.artifact import rebuild
from g2l.models.metadata import ModelMetadata
from g2l.models.published import asformer, ms_tcn, ms_tcn_plus_plus
from g2l.structure import DilationStructure

_logger = logging.getLogger("g2l")
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")


class Reader(Protocol):
    """What knows the names of one published network; see `g2l.models.published`."""

    def matches(self, weights: Mapping[str, Tensor]) -> bool:
        """Return whether the names are those of this network."""

    def measure(
        self, weights: Mapping[str, Tensor], num_classes: int, path: Path
    ) -> tuple[BackboneConfig, int]:
        """Return the size of the network and D.

        Raises:
            InputError: They cannot be told, or the classes are not `num_classes`.
        """


READERS: dict[str, Reader] = {
    "MS-TCN": ms_tcn,
    "MS-TCN++": ms_tcn_plus_plus,
    "ASFormer": asformer,
}
"""By the name of the network, which messages use."""


def load_official(
    path: Path,
    *,
    structure: DilationStructure | None,
    classes: Sequence[str],
    background: Sequence[str] = ("background",),
    sample_rate: int = 1,
    fps: float | None = None,
) -> tuple[nn.Module, ModelMetadata]:
    """Return a network in evaluation mode with the weights of `path`, and metadata that describes it.

    Which network it is and its size are told by names and shapes. Wrapping in `{"state_dict": …}` and
    the `module.` prefix of data-parallel training are taken off.

    Args:
        path: A state dict saved by `torch.save`; nothing but tensors and plain containers is unpickled.
        structure: Its rates, which a state dict does not hold; None assumes the hand-designed one and warns.
        classes: Class names in index order.
        background: Class names left out of Edit and F1.
        sample_rate: That it was trained with (50Salads: 2).
        fps: Frames per second of the feature files, or None.

    Raises:
        InputError: The file is missing, holds something else than such a state dict, or its stages,
            layers, classes or shapes are not those expected; the key is named.
    """
    weights = _read_state_dict(path)
    backbone, feature_dim = _reader(weights, path).measure(weights, len(classes), path)
    if structure is None:
        structure = backbone.hand_designed()
        _logger.warning(
            "%s: no structure is given; the hand-designed rates of %s are assumed.", path, backbone.name
        )
    backbone.fit(structure, f"{path} and the structure given")
    metadata = ModelMetadata(
        structure=structure,
        backbone=backbone,
        classes=tuple(classes),
        feature_dim=feature_dim,
        background=tuple(background),
        sample_rate=sample_rate,
        fps=fps,
    )
    return rebuild(metadata, weights, str(path)).eval(), metadata


def _reader(weights: Mapping[str, Tensor], path: Path) -> Reader:
    for reader in READERS.values():
        if reader.matches(weights):
            return reader
    raise InputError(
        f"{path}: expected a state dict of {' or '.join(READERS)}, but its names are those of none.",
        hint=f"it holds {', '.join(list(weights)[:3]) or 'nothing'}.",
    )


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise no_such_file(path)
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes torch raise any of a dozen kinds
        # torch's own text advises how to load it unsafely, so only the name of the object is taken from it.
        refused = _REFUSED.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused is None:
            raise InputError(
                f"{path}: expected a state dict, but the file is damaged or of another kind."
            ) from None
        raise InputError(
            f"{path}: expected a state dict of tensors only, but it holds a pickled {refused[1]}, "
            "which is refused because unpickling can run any code.",
            hint="where the model was trained, save model.state_dict() with torch.save.",
        ) from None
    return _unwrap(value, path)


def _unwrap(value: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(value, Mapping) and isinstance(value.get("state_dict"), Mapping):
        value = value["state_dict"]
    if not isinstance(value, Mapping) or not all(isinstance(item, Tensor) for item in value.values()):
        raise InputError(f"{path}: expected a state dict, but found {_kind(value)}.")
    return {str(name).removeprefix("module."): item for name, item in value.items()}


def _kind(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"a {type(value).__name__}"
    name, item = next((name, item) for name, item in value.items() if not isinstance(item, Tensor))
    return f"a {type(item).__name__} at {name!r}"
