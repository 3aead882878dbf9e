"""What happened to a run, as a line of JSON: all that the recording side hands to the sending side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What an event does to its run."""

    OPEN = "open"
    """`name`, `kind`, `time`, `tags`, `parent` (local id or None), `existing` (MLflow id or None), `again`
    (whether a process before this one may have opened a run of the same local id)."""
    PARAMS = "params"
    """`values`: name → text."""
    TAGS = "tags"
    """`values`: name → text."""
    METRICS = "metrics"
    """`values`: name → number, `step`, `time`."""
    TEXT = "text"
    """`name` of the artifact, `text`, `table`: whether the MLflow UI shall show it as a table."""
    FILE = "file"
    """`file` in the spool, `folder` of the run's artifacts."""
    DATASET = "dataset"
    """`name`, `digest`, `source`, `context`."""
    MODEL = "model"
    """`file` and `example` in the spool, `registered_model`, `alias`."""
    FINISH = "finish"
    """`status`, `time`."""


BATCHED = frozenset({Action.PARAMS, Action.TAGS, Action.METRICS})
"""Actions that travel together, many in one request."""


@dataclass(frozen=True)
class Event:
    """One thing that happened to one run.

    Attributes:
        action: What it does.
        run: Local id of the run; MLflow's own id is not known when an event is recorded.
        data: JSON values; see `Action`.
    """

    action: Action
    run: str
    data: Mapping[str, Any]

    def to_line(self) -> bytes:
        """Return the event as one line. Metrics may hold NaN, which is why this is Python's JSON."""
        value = {"action": self.action.value, "run": self.run, "data": self.data}
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Event:
        """Parse what `to_line` returned.

        Raises:
            ValueError: The line is damaged.
        """
        value = json.loads(line)
        try:
            return cls(Action(value["action"]), value["run"], value["data"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an event: {error}") from None


@dataclass(frozen=True)
class Header:
    """Where the events of a spool belong.

    Attributes:
        uri: MLflow tracking URI.
        experiment_id: Experiment for root runs, or None.
        experiment_name: The same by name, where no id is given.
    """

    uri: str
    experiment_id: str | None
    experiment_name: str


@dataclass(frozen=True)
class RunRef:
    """A run as MLflow knows it."""

    run_id: str
    experiment_id: str
