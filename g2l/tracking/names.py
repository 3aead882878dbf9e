"""Names and values as MLflow takes them.

MLflow allows letters, digits and `/ _ . - : space` in names of metrics and parameters, so `f1@10` becomes
`f1_at_10` there; every other character it refuses becomes `_`. Nested settings become dotted names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_NAME = 250
MAX_PARAM_VALUE = 6000
MAX_TAG_VALUE = 8000
_REFUSED = re.compile(r"[^\w./\- :]")


def valid_name(name: str) -> str:
    """Return `name` as MLflow takes it for a metric or a parameter."""
    name = _REFUSED.sub("_", name.replace("@", "_at_"))
    # MLflow treats names as paths: empty, `.` and `..` pieces are refused.
    pieces = [piece if piece.strip(".") else "_" * len(piece) for piece in name.split("/") if piece]
    return "/".join(pieces)[:MAX_NAME].rstrip("/") or "_"


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as dotted, valid names and texts of at most 6,000 characters."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[valid_name(name)] = shorten(text(value), MAX_PARAM_VALUE)
    return flat


def text(value: Any) -> str:
    """Return a setting as text: lists as JSON, everything else as `str` does."""
    if isinstance(value, (list, tuple)):
        return json_text(value)
    return str(value)


def json_text(value: Any, indent: int | None = None) -> str:
    """Return strict JSON of any value; see `plain`."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)


def shorten(value: str, limit: int) -> str:
    """Return `value` cut to `limit` characters, the last one an ellipsis when something was cut."""
    return value if len(value) <= limit else value[: limit - 1] + "…"


def plain(value: Any) -> Any:
    """Return `value` as strict JSON values: numpy numbers unwrapped, NaN and infinities null, others text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if value is None or isinstance(value, (bool, int)):
        return value
    return str(value)
