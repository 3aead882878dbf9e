"""`features.json` beside extracted features: which encoder made them, at which rate, of which videos."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from g2l.datasets.faults import DataError, Fault
from g2l.errors import InputError
from g2l.files import read_json

FACTS_NAME = "features.json"
FACTS_SCHEMA = "g2l.features/1"


def read_feature_facts(folder: Path) -> dict[str, Any] | None:
    """Return what a folder says of its features, or None when it says nothing.

    Raises:
        DataError: `features.json` cannot be read, is of another schema or names no frame rate.
    """
    path = folder / FACTS_NAME
    if not path.exists():
        return None
    try:
        facts = read_json(path)
    except InputError as error:
        raise DataError(Fault(path, None, error.message.removeprefix(f"{path}: "))) from None
    if not isinstance(facts, dict) or facts.get("schema") != FACTS_SCHEMA:
        raise DataError(Fault(path, None, f"expected the schema {FACTS_SCHEMA!r}, but found another one."))
    fps = facts.get("fps")
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 0 < fps < math.inf:
        raise DataError(Fault(path, None, f"`fps` must be > 0, but is {fps!r} instead."))
    return facts
