"""Which structure a command is to use."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from g2l.config import BackboneConfig
from g2l.errors import InputError

from .settings import StartConfig

if TYPE_CHECKING:
    from g2l.structure import DilationStructure

logger = logging.getLogger("g2l")


def check_backbone(backbone: BackboneConfig) -> None:
    """Check that a backbone exists, before anything is written.

    Raises:
        InputError: There is none of that name.
    """
    from g2l.models.registry import find_backbone

    find_backbone(backbone.name)


def chosen_structure(backbone: BackboneConfig, start: StartConfig) -> tuple[DilationStructure, str]:
    """Return the structure to start from, and a name for it in tables.

    Raises:
        InputError: Both or neither were given, the file is invalid, or it does not fit the backbone.
    """
    check_backbone(backbone)
    if (start.structure is None) != start.hand_designed:
        raise InputError(
            "give either --structure FILE or --hand-designed.",
            hint="--structure takes the structure.json of a search; --hand-designed uses the 2^l baseline.",
        )
    if start.structure is None:
        return backbone.hand_designed(), "hand-designed"
    from g2l.structure_files import read_structure
    from g2l.tracking.resolve import resolve_artifact

    path = resolve_artifact(start.structure)
    found = read_structure(path)
    backbone.fit(found.structure, str(path))
    before, now = _kind(found.backbone, found.causal), _kind(backbone.name, backbone.causal)
    if found.backbone is not None and before != now:
        logger.warning("%s: was found for %s, but is used for %s.", path, before, now)
    return found.structure, "searched"


def _kind(backbone: str | None, causal: bool) -> str:
    return f"causal {backbone}" if causal else str(backbone)
