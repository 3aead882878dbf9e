"""Runs as MLflow shows them, recorded without waiting for it.

Every call becomes an event in a spool on disk; a background thread sends the events in order. So a call
takes microseconds, a server that is away costs nothing, and a killed process loses nothing: the next tracker
that is given the same spool folder sends what is left there.
"""

from __future__ import annotations

import os
from pathlib import Path

from g2l.tracking import environment
from g2l.tracking.mlflow_run import MlflowRun
from g2l.tracking.protocol import RunKind
from g2l.tracking.sender import Sender, end_open_runs
from g2l.tracking.spool import Spool


class MlflowTracker:
    """Records runs in the MLflow store of `MLFLOW_TRACKING_URI` (default: `./mlflow.db`, a SQLite file).

    Runs go to the experiment of `MLFLOW_EXPERIMENT_ID` or `MLFLOW_EXPERIMENT_NAME` (default: `g2l`). Owned by
    one thread, which calls `close` at the end whatever happens.

    Args:
        spool: Folder in which events wait until they are sent. What an earlier process left there is sent
            too, and its unfinished runs are marked KILLED. Processes may share the folder.
        patience: Seconds that `close` waits for a server that does not answer.

    Raises:
        InputError: The folder cannot be written, or `MLFLOW_TRACKING_URI` names a file store.
    """

    def __init__(self, spool: Path, *, patience: float = 5.0) -> None:
        header = environment.header()
        left_over = Spool.adopt(spool)
        self._folder = spool
        self._spool = Spool.create(spool, header)
        self._uri = header.uri
        self._sender = Sender(self._spool, left_over, patience)
        self._sender.start()
        self._given = os.environ.get("MLFLOW_RUN_ID") or None
        self._root: MlflowRun | None = None

    def start(self, *, name: str, kind: RunKind, run_id: str | None = None) -> MlflowRun:
        """Start a root run.

        Under `mlflow run` the first one goes on with the run that it made, and later ones become its
        children, for there is one root run only. `run_id` reopens a run on resume; where the store does not
        know it any more, a new run is made.
        """
        if self._root is not None:
            return self._root.child(name=name, kind=kind, run_id=run_id)
        tags = environment.common_tags()
        if self._given and run_id and run_id != self._given:
            tags["g2l.resumes"] = run_id
        run = MlflowRun(
            self._spool, self._sender, name=name, kind=kind, tags=tags, existing=self._given or run_id
        )
        if self._given:
            self._root = run
        return run

    def close(self) -> str | None:
        """Mark unfinished runs KILLED and send what is buffered.

        Returns:
            One line about what could not be sent and where it waits, or None.
        """
        end_open_runs(self._spool)
        self._sender.close()
        unsent = 0
        for spool in self._sender.spools:
            count = spool.count_unsent()
            unsent += count
            if count:
                spool.release()
            else:
                spool.remove()
        if not unsent:
            return None
        shown = environment.without_password(self._uri)
        return (
            f"{unsent} tracking events could not be sent to MLflow at {shown}; they wait in {self._folder} "
            "for the next run that uses this folder."
        )
