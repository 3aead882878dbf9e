"""Writes the updates of a local search down: journal, tracked metrics, a picture of all rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from g2l.files import canonical_json, write_text
from g2l.pipeline.figures import rate_map
from g2l.records import LocalSearchUpdate
from g2l.tracking.protocol import Run


class LocalSearchLog:
    """Records each update as it happens.

    Args:
        path: The journal: one line of JSON per update, complete after every update.
        run: The tracked run of the search.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self._path = path
        self._run = run

    def record(self, history: Sequence[LocalSearchUpdate]) -> None:
        """Record the last update of `history`; a resumed search may repeat one, with the same outcome."""
        lines = (canonical_json(update.as_dict()) for update in history)
        write_text(self._path, "".join(f"{line}\n" for line in lines))
        latest = history[-1]
        metrics = {f"rate/{name}": float(layer.rate_after) for name, layer in latest.layers.items()}
        for name, layer in latest.layers.items():
            metrics |= {f"branch_weight/{name}/{i}": weight for i, weight in enumerate(layer.weights)}
        self._run.log_metrics(metrics, step=latest.number)

    def finish(self, history: Sequence[LocalSearchUpdate]) -> None:
        """Keep the journal, a table of all updates and the picture of all rates with the run."""
        if not history:
            return
        self._run.log_artifact(self._path)
        self._run.log_table(_table(history), "updates.json")
        self._run.log_figure(rate_map([_rates(update) for update in history]), "rates.png")


def _rates(update: LocalSearchUpdate) -> Mapping[str, Sequence[int]]:
    return {name: (layer.rate_before, layer.rate_after) for name, layer in update.layers.items()}


def _table(history: Sequence[LocalSearchUpdate]) -> dict[str, list[object]]:
    rows = [
        {
            "update": update.number,
            "step": update.step,
            "layer": name,
            "rate_before": layer.rate_before,
            "branches": " ".join(map(str, layer.branches)),
            "weights": " ".join(f"{weight:.4f}" for weight in layer.weights),
            "expectation": layer.expectation,
            "rate_after": layer.rate_after,
        }
        for update in history
        for name, layer in update.layers.items()
    ]
    return {column: [row[column] for row in rows] for column in rows[0]}
