"""Which structure a command is to use."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from g2l.config import BackboneConfig
from g2l.errors import InputError

from .options import BackboneOptions

if TYPE_CHECKING:
    from g2l.structure import DilationStructure

logger = logging.getLogger("g2l")


def chosen_structure(
    options: BackboneOptions, source: str | None, *, hand_designed: bool
) -> tuple[DilationStructure, BackboneConfig, str]:
    """Return the structure, the backbone it fits, and a name for it in tables.

    Args:
        options: Size of the network.
        source: A path, `runs:/…` or `models:/…`; None for the hand-designed structure.
        hand_designed: Whether the 2^l structure was asked for.

    Raises:
        InputError: Both or neither were given, the file is wrong, or it does not fit the backbone.
    """
    size = options.config()
    if (source is None) != hand_designed:
        raise InputError(
            "give either --structure FILE or --hand-designed.",
            hint="--structure takes the structure.json of a search; --hand-designed trains the 2^l baseline.",
        )
    if source is None:
        return size.hand_designed(), size, "hand-designed"
    from g2l.structure_files import read_structure
    from g2l.tracking.resolve import resolve_artifact

    path = resolve_artifact(source)
    found = read_structure(path)
    size.fit(found.structure, str(path))
    before, now = _kind(found.backbone, found.causal), _kind(size.name, size.causal)
    if found.backbone is not None and before != now:
        logger.warning("%s: was found for %s, but is used for %s.", path, before, now)
    return found.structure, size, "searched"


def _kind(backbone: str | None, causal: bool) -> str:
    return f"causal {backbone}" if causal else str(backbone)
