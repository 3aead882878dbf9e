"""What the stages tell a tracker; no stage knows which one it talks to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


FOLDER_TAG = "g2l.folder"
"""Tag with the name of the folder of a stage inside that of the stage above it."""


class RunKind(StrEnum):
    """Values of the tag `g2l.kind`."""

    PIPELINE = "pipeline"
    SEARCH_GLOBAL = "search-global"
    SEARCH_LOCAL = "search-local"
    CANDIDATE = "candidate"
    TRAIN = "train"
    SEED = "seed"
    EXPORT = "export"
    PREDICT = "predict"
    EVALUATE = "evaluate"


class RunStatus(StrEnum):
    """How a run ended."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class Run(Protocol):
    """One recorded run. No call raises because the server is away: it is buffered and synced later.

    Not thread-safe: one thread owns a run and its children.
    """

    @property
    def run_id(self) -> str | None:
        """Identifier that `runs:/<run_id>/…` takes, or None when nothing is recorded."""
        ...

    def child(self, *, name: str, kind: RunKind, run_id: str | None = None, key: str | None = None) -> Run:
        """Start a run below this one, or reopen one on resume.

        Args:
            name: Name of a new one.
            kind: Kind of a new one.
            run_id: Run to reopen, or None.
            key: Unique among the children of this run: the child that was opened with it before, in this
                process or in an earlier one, is reopened. None for a child that is always new.
        """
        ...

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings; nested mappings become dotted names."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record facts about the run."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record numbers in one batch. Names may hold `@`; the adapter makes them valid."""
        ...

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a file below `folder` of the run's artifacts."""
        ...

    def log_dict(self, value: Any, name: str) -> None:
        """Keep a JSON value as artifact `name`, which ends in `.json`."""
        ...

    def log_table(self, columns: Mapping[str, Sequence[Any]], name: str) -> None:
        """Keep columns of equal length as a table that the MLflow UI shows; `name` ends in `.json`."""
        ...

    def log_figure(self, figure: Figure, name: str) -> None:
        """Keep a figure as artifact `name`, which ends in `.png`."""
        ...

    def log_dataset(self, *, name: str, source: Path, digest: str, context: str) -> None:
        """Record which data the run used; `context` is train, holdout or test."""
        ...

    def log_onnx_model(
        self,
        path: Path,
        *,
        input_example: NDArray[Any],
        registered_model: str | None = None,
        alias: str | None = None,
    ) -> None:
        """Keep an ONNX file as an MLflow model with signature, loadable by `mlflow.pyfunc`.

        Args:
            path: The `.onnx` file.
            input_example: Features, shape (1, D, T).
            registered_model: Name to register it under, or None.
            alias: Alias to give the registered version, or None.
        """
        ...

    def finish(self, status: RunStatus = RunStatus.FINISHED, reason: str | None = None) -> None:
        """End the run; `reason` becomes the tag `g2l.reason`."""
        ...


class Tracker(Protocol):
    """Opens root runs and finds artifacts."""

    def start(self, *, name: str, kind: RunKind, run_id: str | None = None) -> Run:
        """Start a root run, join the one that `mlflow run` made, or reopen `run_id` on resume."""
        ...

    def close(self) -> str | None:
        """Send what is buffered; return one line about what could not be sent, or None."""
        ...


class NullRun:
    """Records nothing."""

    run_id: str | None = None

    def child(
        self, *, name: str, kind: RunKind, run_id: str | None = None, key: str | None = None
    ) -> NullRun:
        """Return a run that records nothing either."""
        return self

    def _ignore(self, *args: object, **kwargs: object) -> None:
        return None

    log_params = set_tags = log_metrics = log_artifact = log_dict = log_table = _ignore
    log_figure = log_dataset = log_onnx_model = finish = _ignore


class NullTracker:
    """Opens runs that record nothing."""

    def start(self, *, name: str, kind: RunKind, run_id: str | None = None) -> NullRun:
        """Return a run that records nothing."""
        return NullRun()

    def close(self) -> None:
        """Nothing is buffered."""
        return
