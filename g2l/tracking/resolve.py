"""Finding the files that `runs:/…`, `models:/…` or a path names, also where a project was moved."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from g2l.errors import InputError, OperationalError, no_such_file
from g2l.records import RunKind
from g2l.tracking.environment import load_mlflow, tracking_uri, without_password
from g2l.tracking.state import FOLDER_TAG, KIND_TAG
from g2l.tracking.store import code, local_path, reason, sqlite_path

RUN_ID = re.compile(r"[0-9a-f]{32}")
_RUNS = re.compile(r"runs:/([^/]+)/(.+)")
_MODELS = re.compile(
    r"models:/(?:(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[^/]+))|(?P<id>m-[^/]+))"
)
_STAGES = {kind.value for kind in RunKind} - {RunKind.CANDIDATE.value}
_FOLDER = re.compile(r"[\w][\w.-]*")
_NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND", "BAD_REQUEST")


def resolve_artifact(reference: str) -> Path:
    """Return the local file that `reference` names; what lies on a server is downloaded for this process.

    Args:
        reference: A path, `runs:/<run_id>/<path>`, `models:/<name>@<alias>` or `models:/<name>/<version>`. A
            logged model stands for the `.onnx` file in it.

    Raises:
        InputError: There is no such file, run, model, version or alias, or the reference is malformed.
        OperationalError: MLflow does not answer.
    """
    if not reference.startswith(("runs:", "models:")):
        path = Path(reference)
        if not path.exists():
            raise no_such_file(reference)
        return path
    if not _RUNS.fullmatch(reference) and not _MODELS.fullmatch(reference):
        raise InputError(
            f"{reference}: expected runs:/<run_id>/<path>, models:/<name>@<alias> or "
            "models:/<name>/<version>."
        )
    path = _download(reference)
    return _onnx_file(path, reference) if path.is_dir() else path


def fetch_run(run_id: str, names: Collection[str]) -> Path:
    """Return a folder like that of a stage, with those files of `names` that the run has kept.

    Stages below it are in folders of their own. The folder is deleted when the process ends.

    Raises:
        InputError: There is no such run.
        OperationalError: MLflow does not answer.
    """
    uri, folder, mlflow = tracking_uri(), _temporary(), load_mlflow()
    client = mlflow.MlflowClient(tracking_uri=uri)
    try:
        _fetch(client, uri, client.get_run(run_id), names, folder / run_id)
    except (mlflow.MlflowException, OSError) as error:
        raise _failure(f"run {run_id}", uri, error) from error
    return folder / run_id


def _fetch(client: Any, uri: str, run: Any, names: Collection[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    place = _moved(uri, run.info.artifact_uri)
    if place is not None:
        for path in place.iterdir():
            if path.name in names and path.is_file():
                shutil.copyfile(path, folder / path.name)
    else:
        for entry in client.list_artifacts(run.info.run_id):
            if entry.path in names and not entry.is_dir:
                client.download_artifacts(run.info.run_id, entry.path, str(folder))
    for kind in sorted(_STAGES):  # a search has thousands of candidates beside them
        below = f"tags.`mlflow.parentRunId` = '{run.info.run_id}' and tags.`{KIND_TAG}` = '{kind}'"
        for child in client.search_runs([run.info.experiment_id], filter_string=below, max_results=1000):
            # A tag is anybody's to write, and must not lead out of the folder.
            name = child.data.tags.get(FOLDER_TAG, "")
            if _FOLDER.fullmatch(name):
                _fetch(client, uri, child, names, folder / name)


def _download(reference: str) -> Path:
    uri, mlflow = tracking_uri(), load_mlflow()
    try:
        moved = _moved_reference(mlflow.MlflowClient(tracking_uri=uri), uri, reference)
        if moved is not None:
            return moved
        return Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=reference, dst_path=str(_temporary()), tracking_uri=uri
            )
        )
    except (mlflow.MlflowException, OSError) as error:
        raise _failure(reference, uri, error) from error


def _moved_reference(client: Any, uri: str, reference: str) -> Path | None:
    """Return the file or folder of a reference where its artifacts lie in a project that was moved."""
    if sqlite_path(uri) is None:
        return None
    if match := _RUNS.fullmatch(reference):
        place = _moved(uri, client.get_run(match[1]).info.artifact_uri)
        found = None if place is None else (place / match[2]).resolve()
        inside = found is not None and place is not None and found.is_relative_to(place.resolve())
        return found if inside and found is not None and found.exists() else None
    match = _MODELS.fullmatch(reference)
    assert match is not None
    model_id = match["id"]
    if not model_id:
        version = (
            client.get_model_version_by_alias(match["name"], match["alias"])
            if match["alias"]
            else client.get_model_version(match["name"], match["version"])
        )
        if not version.source.startswith("models:/m-"):  # registered from files of a run
            return _moved(uri, version.source)
        model_id = version.source.removeprefix("models:/")
    return _moved(uri, client.get_logged_model(model_id).artifact_location)


def _moved(uri: str, location: str) -> Path | None:
    """Return the folder beside a SQLite store that holds the artifacts of a location that is gone.

    The store names absolute paths, which a project that was renamed or copied from elsewhere takes along.
    """
    place, store = local_path(location), sqlite_path(uri)
    if place is None or store is None or place.exists():
        return None
    parts = place.parts[1:]
    for first in range(len(parts) - 2):  # at least run or model, and its `artifacts`
        beside = store.parent.joinpath(*parts[first:])
        if beside.is_dir():
            return beside
    return None


def _temporary() -> Path:
    folder = tempfile.mkdtemp(prefix="g2l-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _failure(what: str, uri: str, error: Exception) -> InputError | OperationalError:
    shown = without_password(uri)
    missing = "No such" in str(error) or isinstance(error, FileNotFoundError)
    if missing or code(error) in _NOT_FOUND:
        return InputError(
            f"{what}: not found in MLflow at {shown} ({reason(error)}).",
            hint="check the id or name, and MLFLOW_TRACKING_URI.",
        )
    return OperationalError(
        f"{what}: MLflow at {shown} does not answer ({reason(error)}).",
        hint="check MLFLOW_TRACKING_URI, and whether the server runs.",
    )


def _onnx_file(folder: Path, reference: str) -> Path:
    files = sorted(folder.rglob("*.onnx"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise InputError(f"{reference}: expected one .onnx file in that folder, but found {found}.")
    return files[0]
