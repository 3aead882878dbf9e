"""The files of a tracked run and of the stages below it, laid out as their folders were."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from g2l.errors import InputError, OperationalError
from g2l.tracking.environment import load_mlflow, tracking_uri, without_password
from g2l.tracking.persistence import first_line, is_temporary
from g2l.tracking.protocol import FOLDER_TAG, RunKind

RUN_ID = re.compile(r"[0-9a-f]{32}")
_STAGES = set(RunKind) - {RunKind.CANDIDATE, RunKind.EXPORT}
"""Kinds whose files are fetched: there may be thousands of candidates."""
_FOLDER = re.compile(r"[\w][\w.-]*")


def fetch_run(run_id: str, names: Collection[str]) -> Path:
    """Return a folder like that of a stage, with some of its files as the run has kept them.

    Stages below it are in folders of their own. The folder is deleted when the process ends.

    Args:
        run_id: Of the run.
        names: Files that are wanted, where there are any of that name.

    Raises:
        InputError: There is no such run.
        OperationalError: MLflow does not answer.
    """
    uri = tracking_uri()
    folder = Path(tempfile.mkdtemp(prefix="g2l-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    mlflow = load_mlflow()
    client = mlflow.MlflowClient(tracking_uri=uri)
    try:
        _fetch(client, client.get_run(run_id), names, folder / run_id)
    except (mlflow.MlflowException, OSError) as error:
        shown = without_password(uri)
        if is_temporary(error):
            raise OperationalError(
                f"run {run_id}: MLflow at {shown} does not answer ({first_line(error)}).",
                hint="check MLFLOW_TRACKING_URI, and whether the server runs.",
            ) from error
        raise InputError(
            f"run {run_id}: not found in MLflow at {shown} ({first_line(error)}).",
            hint="check the run id and MLFLOW_TRACKING_URI.",
        ) from error
    return folder / run_id


def _fetch(client: Any, run: Any, names: Collection[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for entry in client.list_artifacts(run.info.run_id):
        if entry.path in names and not entry.is_dir:
            client.download_artifacts(run.info.run_id, entry.path, str(folder))
    for child in _children(client, run):
        # A tag is anybody's to write, and must not lead out of the folder.
        name = child.data.tags.get(FOLDER_TAG, "")
        if child.data.tags.get("g2l.kind") in _STAGES and _FOLDER.fullmatch(name):
            _fetch(client, child, names, folder / name)


def _children(client: Any, run: Any) -> list[Any]:
    """Return the runs below a run that are stages, whatever the number of candidates beside them."""
    found: list[Any] = []
    for kind in sorted(_STAGES):
        below = f"tags.`mlflow.parentRunId` = '{run.info.run_id}' and tags.`g2l.kind` = '{kind}'"
        found += client.search_runs([run.info.experiment_id], filter_string=below, max_results=1000)
    return found
