"""The recording side of one MLflow run."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from g2l.tracking.events import Action, Event
from g2l.tracking.names import MAX_TAG_VALUE, flatten, json_text, shorten, valid_name
from g2l.tracking.persistence import first_line
from g2l.tracking.protocol import RunKind, RunStatus
from g2l.tracking.sender import Sender
from g2l.tracking.spool import Spool

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

logger = logging.getLogger("g2l")

_EXAMPLE_FRAMES = 16
"""MLflow writes the input example of a model as text, so a long one would become many megabytes."""
_DIGEST_LENGTH = 36
_RUN_ID_SECONDS = 60.0
P = ParamSpec("P")


def _never_raises(
    method: Callable[Concatenate[MlflowRun, P], None],
) -> Callable[Concatenate[MlflowRun, P], None]:
    """Turn what goes wrong while recording (a full disk, a missing file, an odd value) into a warning."""

    @wraps(method)
    def recorded(run: MlflowRun, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(run, *args, **kwargs)
        except Exception as error:  # whatever it is, it must not stop a search
            logger.warning("tracking: `%s` recorded nothing (%s).", method.__name__, first_line(error))

    return recorded


class MlflowRun:
    """One run; see `g2l.tracking.protocol.Run`.

    Metric names are changed to what MLflow takes (`f1@10` → `f1_at_10`), nested parameters become dotted
    names. Tables, dictionaries and figures are files of the run's artifacts.

    Args:
        spool: Where events go.
        sender: Knows which MLflow run it becomes.
        name: Name of the run, where it is new.
        kind: Value of the tag `g2l.kind`.
        tags: More tags.
        parent: Local id of the parent, or None for a root run.
        existing: MLflow run to go on with, or None for a new one.
        local: Local id, where an earlier process may have opened the run under it; None for a new one.
        again: Whether that is to be expected, which costs a request.
    """

    def __init__(
        self,
        spool: Spool,
        sender: Sender,
        *,
        name: str,
        kind: RunKind,
        tags: Mapping[str, str],
        parent: str | None = None,
        existing: str | None = None,
        local: str | None = None,
        again: bool = False,
    ) -> None:
        self._spool = spool
        self._sender = sender
        self._local = local or uuid.uuid4().hex
        self._resumes = existing is not None
        self._finished = False
        fields = {"name": name, "kind": kind, "tags": dict(tags), "parent": parent, "existing": existing}
        self._open(fields | {"again": again})
        self._opened_at = spool.size

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; waits until it exists, and is None when the server is away."""
        return self._sender.wait_for_run(self._local, self._opened_at, _RUN_ID_SECONDS)

    def child(
        self, *, name: str, kind: RunKind, run_id: str | None = None, key: str | None = None
    ) -> MlflowRun:
        """Start a run below this one, or reopen `run_id`, or the child that was opened with `key`."""
        return MlflowRun(
            self._spool,
            self._sender,
            name=name,
            kind=kind,
            tags={},
            parent=self._local,
            existing=run_id,
            local=None if key is None else self._local_of(key),
            again=key is not None and self._resumes,
        )

    @_never_raises
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings; nested mappings become dotted names."""
        self._record(Action.PARAMS, values=flatten(params))

    @_never_raises
    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Record facts about the run."""
        values = {name: shorten(str(value), MAX_TAG_VALUE) for name, value in tags.items()}
        self._record(Action.TAGS, values=values)

    @_never_raises
    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Record numbers; NaN stays NaN, and MLflow shows infinities as its largest number."""
        values = {valid_name(name): float(value) for name, value in metrics.items()}
        self._record(Action.METRICS, values=values, step=int(step), time=_now())

    @_never_raises
    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a file, as it is now, below `folder` of the run's artifacts."""
        self._record(Action.FILE, file=self._copy(path), folder=folder)

    @_never_raises
    def log_dict(self, value: Any, name: str) -> None:
        """Keep a JSON value as artifact `name`."""
        self._record(Action.TEXT, name=name, text=json_text(value, indent=2), table=False)

    @_never_raises
    def log_table(self, columns: Mapping[str, Sequence[Any]], name: str) -> None:
        """Keep columns of equal length as a table that the MLflow UI shows."""
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        table = json_text({"columns": list(columns), "data": rows})
        self._record(Action.TEXT, name=name, text=table, table=True)

    @_never_raises
    def log_figure(self, figure: Figure, name: str) -> None:
        """Keep a figure as artifact `name`."""
        path = self._spool.new_file(name)
        figure.savefig(path)
        folder = PurePosixPath(name).parent.as_posix()
        self._record(Action.FILE, file=self._spool.relative(path), folder="" if folder == "." else folder)

    @_never_raises
    def log_dataset(self, *, name: str, source: Path, digest: str, context: str) -> None:
        """Record which data the run used."""
        self._record(
            Action.DATASET,
            name=name,
            source=str(Path(source).absolute()),
            digest=digest[:_DIGEST_LENGTH],
            context=context,
        )

    @_never_raises
    def log_onnx_model(
        self,
        path: Path,
        *,
        input_example: NDArray[Any],
        registered_model: str | None = None,
        alias: str | None = None,
    ) -> None:
        """Keep an ONNX file as MLflow model `model`; the first 16 frames of the example are kept with it."""
        example = self._spool.new_file("example.npy")
        np.save(example, np.asarray(input_example, np.float32)[:, :, :_EXAMPLE_FRAMES], allow_pickle=False)
        self._record(
            Action.MODEL,
            file=self._copy(path),
            example=self._spool.relative(example),
            registered_model=registered_model,
            alias=alias,
        )

    @_never_raises
    def finish(self, status: RunStatus = RunStatus.FINISHED, reason: str | None = None) -> None:
        """End the run, once; `reason` becomes the tag `g2l.reason`."""
        if self._finished:
            return
        self._finished = True
        if reason is not None:
            self._record(Action.TAGS, values={"g2l.reason": shorten(reason, MAX_TAG_VALUE)})
        self._record(Action.FINISH, status=RunStatus(status).value, time=_now())

    @_never_raises
    def _open(self, data: Mapping[str, Any]) -> None:
        self._record(Action.OPEN, **data, time=_now())

    def _local_of(self, key: str) -> str:
        """Return the local id of the child with `key`, the same in every process that knows this run."""
        return hashlib.sha256(f"{self.run_id or self._local}/{key}".encode()).hexdigest()[:32]

    def _record(self, action: Action, **data: Any) -> None:
        self._spool.append(Event(action, self._local, data))

    def _copy(self, path: Path) -> str:
        kept = self._spool.new_file(path.name)
        shutil.copyfile(path, kept)
        return self._spool.relative(kept)


def _now() -> int:
    return int(time.time() * 1000)
