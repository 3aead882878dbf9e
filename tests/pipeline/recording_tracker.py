"""A tracker that keeps what it is told in memory, so that tests can ask for it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from g2l.tracking.protocol import RunKind, RunStatus


@dataclass
class RecordedRun:
    """One run, with everything that was logged to it; implements `g2l.tracking.protocol.Run`."""

    tracker: RecordingTracker
    run_id: str
    name: str
    kind: RunKind
    parent: RecordedRun | None = None
    children: list[RecordedRun] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    dicts: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, dict[str, Sequence[Any]]] = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)
    datasets: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    status: RunStatus | None = None
    reason: str | None = None
    opened: int = 1

    def child(
        self, *, name: str, kind: RunKind, run_id: str | None = None, key: str | None = None
    ) -> RecordedRun:
        run = self.tracker._open(name, kind, self.keys.get(key, run_id), self)
        if key is not None:
            self.keys[key] = run.run_id
        return run

    def log_params(self, params: Mapping[str, Any]) -> None:
        for key, value in params.items():
            assert self.params.setdefault(key, value) == value, f"{key}: MLflow's parameters never change"

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        assert self.status is None, f"{self.name} has ended"
        for key, value in metrics.items():
            assert isinstance(value, int | float), f"{key} is a {type(value).__name__}"
            self.metrics.append((key, value, step))

    def log_artifact(self, path: Path, folder: str = "") -> None:
        self.artifacts[f"{folder}/{path.name}".lstrip("/")] = path.read_bytes()

    def log_dict(self, value: Any, name: str) -> None:
        self.dicts[name] = copy.deepcopy(value)

    def log_table(self, columns: Mapping[str, Sequence[Any]], name: str) -> None:
        assert len({len(column) for column in columns.values()}) == 1
        self.tables[name] = dict(columns)

    def log_figure(self, figure: Any, name: str) -> None:
        figure.canvas.draw()
        self.figures.append(name)

    def log_dataset(self, **fields: Any) -> None:
        self.datasets.append(fields)

    def log_onnx_model(self, path: Path, **fields: Any) -> None:
        self.models.append({"bytes": path.read_bytes(), **fields})

    def finish(self, status: RunStatus = RunStatus.FINISHED, reason: str | None = None) -> None:
        assert self.status is None, f"{self.name} is finished twice"
        self.status, self.reason = status, reason

    def series(self, metric: str) -> dict[int, float]:
        """Return the last value of a metric at each step."""
        return {step: value for name, value, step in self.metrics if name == metric}

    def latest(self) -> dict[str, float]:
        """Return the last value of each metric."""
        return {name: value for name, value, _ in self.metrics}

    def of_kind(self, kind: RunKind) -> list[RecordedRun]:
        """Return the children of a kind."""
        return [run for run in self.children if run.kind is kind]


class RecordingTracker:
    """Opens recorded runs; one object stands for a store that several processes use one after the other."""

    def __init__(self) -> None:
        self.roots: list[RecordedRun] = []
        self.runs: dict[str, RecordedRun] = {}

    def start(self, *, name: str, kind: RunKind, run_id: str | None = None) -> RecordedRun:
        return self._open(name, kind, run_id, None)

    def close(self) -> None:
        return

    def all(self, kind: RunKind) -> Iterator[RecordedRun]:
        """Yield all runs of a kind, oldest first."""
        return (run for run in self.runs.values() if run.kind is kind)

    def only(self, kind: RunKind) -> RecordedRun:
        """Return the one run of a kind."""
        (run,) = self.all(kind)
        return run

    def _open(self, name: str, kind: RunKind, run_id: str | None, parent: RecordedRun | None) -> RecordedRun:
        if run_id is not None and run_id in self.runs:
            run = self.runs[run_id]
            assert (run.kind, run.parent) == (kind, parent)
            run.status, run.reason, run.opened = None, None, run.opened + 1
            return run
        run = RecordedRun(self, f"run{len(self.runs)}", name, kind, parent)
        self.runs[run.run_id] = run
        (self.roots if parent is None else parent.children).append(run)
        return run
