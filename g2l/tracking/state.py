"""A run as MLflow should show it, as plain values, and names and texts as MLflow takes them.

MLflow allows letters, digits and `/ _ . - : space` in names of metrics and parameters, so `f1@10` becomes
`f1_at_10` there; every other character it refuses becomes `_`. Nested settings become dotted names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from g2l.files import fingerprint, finite
from g2l.records import RunStatus

RUN_ID_TAG, ROOT_TAG, KIND_TAG, FOLDER_TAG = "g2l.run_id", "g2l.root_id", "g2l.kind", "g2l.folder"
"""Tags by which a run of MLflow's is found again: our id of it, and that of the command's root run."""
REASON_TAG = "g2l.reason"
MAX_NAME, MAX_PARAM_VALUE, MAX_TAG_VALUE = 250, 6000, 8000
_REFUSED = re.compile(r"[^\w./\- :]")


class Metric(NamedTuple):
    """One number of a run."""

    name: str
    value: float
    at: int
    step: int


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file of a run, or a text; a `stable` one may be sent while the run is going on."""

    path: str
    file: Path | None = None
    text: str = ""
    stable: bool = False
    table: bool = False

    @property
    def stamp(self) -> list[Any] | None:
        """Size, and what changes with the content; None where the file is gone."""
        if self.file is None:
            return [len(self.text), fingerprint(self.text)]
        try:
            status = self.file.stat()
        except OSError:
            return None
        return [status.st_size, status.st_mtime_ns]


class DatasetInput(NamedTuple):
    """Data that a run used; `context` is train, holdout or test."""

    name: str
    digest: str
    source: str
    context: str


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file that becomes an MLflow model, registered where a name is given."""

    file: Path
    registered_model: str | None = None
    alias: str | None = None


@dataclass(frozen=True, kw_only=True)
class MirroredRun:
    """A run as MLflow should show it; times are in milliseconds since 1970.

    Attributes:
        id: Our id.
        parent: Our id of the run above it, or None.
        params: Never change.
        tags: May change.
        metrics: By source; each list only grows at its end.
        model: ONNX file that becomes an MLflow model, or None.
        mlflow_run_id: MLflow run that already stands for it, or None.
    """

    id: str
    parent: str | None
    name: str
    started_at: int
    status: RunStatus
    ended_at: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, Sequence[Metric]] = field(default_factory=dict)
    artifacts: Sequence[Artifact] = ()
    datasets: Sequence[DatasetInput] = ()
    model: OnnxModel | None = None
    mlflow_run_id: str | None = None


def named_metrics(values: Mapping[str, Any], at: int, step: int) -> list[Metric]:
    """Return numbers as metrics; null stands for NaN, which JSON lacks."""
    return [
        Metric(valid_name(name), float("nan") if value is None else float(value), at, step)
        for name, value in values.items()
    ]


def valid_name(name: str) -> str:
    """Return `name` as MLflow takes it for a metric or a parameter."""
    name = _REFUSED.sub("_", name.replace("@", "_at_"))
    # MLflow treats names as paths: empty, `.` and `..` pieces are refused.
    pieces = [piece if piece.strip(".") else "_" * len(piece) for piece in name.split("/") if piece]
    return "/".join(pieces)[:MAX_NAME].rstrip("/") or "_"


def flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as dotted, valid names and texts of at most 6,000 characters; lists as JSON."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            text = json_text(value) if isinstance(value, list | tuple) else str(value)
            flat[valid_name(name)] = shorten(text, MAX_PARAM_VALUE)
    return flat


def json_text(value: Any, indent: int | None = None) -> str:
    """Return strict JSON of a value, NaN and infinities as null."""
    return json.dumps(finite(value), indent=indent, allow_nan=False)


def shorten(value: str, limit: int) -> str:
    """Return `value` cut to `limit` characters, the last one an ellipsis when something was cut."""
    return value if len(value) <= limit else value[: limit - 1] + "…"
