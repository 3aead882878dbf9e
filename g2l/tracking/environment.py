"""Tracking settings in the environment, and facts of the environment to record."""

from __future__ import annotations

import getpass
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import g2l
from g2l.errors import InputError

DEFAULT_EXPERIMENT = "g2l"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
_PACKAGES = ("torch", "mlflow", "onnxruntime-gpu", "numpy")
_MLFLOW_DEFAULTS = {
    # A sender of ours repeats what fails; MLflow's own seven attempts would block it for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    # Nothing of MLflow's may reach our streams, and nothing leaves the machine unasked.
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def load_mlflow() -> ModuleType:
    """Import MLflow quietly; it takes seconds, so nothing imports it earlier. User's own settings win."""
    for name, value in _MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    return mlflow


def tracking_uri() -> str:
    """Return `MLFLOW_TRACKING_URI`, or the SQLite file `mlflow.db` in the working directory.

    The default is always named in full: MLflow's own one turns into a file store, which it then refuses,
    where an old `mlruns` folder lies about. An `InputError` is raised where the variable names such a store.
    """
    uri = os.environ.get(URI_VARIABLE)
    if not uri:
        return f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    scheme = urlsplit(uri).scheme
    if scheme.partition("+")[0] == "sqlite":  # wherever it is used, also by another process
        start, _, path = uri.partition("://")
        file, mark, options = path.removeprefix("/").partition("?")
        return f"{start}:///{Path(file).absolute()}{mark}{options}" if file else uri
    is_folder = scheme == "file" or (not scheme and not uri.startswith(("databricks", "uc")))
    if is_folder and os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() not in ("true", "1"):
        raise InputError(
            f"`MLFLOW_TRACKING_URI` must be a database or a server, but is the folder {uri!r} instead.",
            hint="use sqlite:///mlflow.db or http://host:port; MLflow no longer writes to plain folders.",
        )
    return uri


@dataclass(frozen=True)
class Target:
    """Store, experiment by id or else by name, and the MLflow run that the root run goes on with."""

    uri: str
    experiment_id: str | None = None
    experiment_name: str = DEFAULT_EXPERIMENT
    run_id: str | None = None


def target(
    recorded: Mapping[str, Any] | None = None, *, joins: bool = False, keeps_store: bool = False
) -> Target:
    """Return where a run is recorded; `MLFLOW_EXPERIMENT_ID` wins over `MLFLOW_EXPERIMENT_NAME`.

    Args:
        recorded: The `environment` of a run that was started before: its store and experiment count where no
            variable names others.
        joins: Whether this process belongs to the run, so that `MLFLOW_RUN_ID` is meant for it.
        keeps_store: Whether the store and experiment of before count all the same: another run is started.

    Raises:
        InputError: `MLFLOW_TRACKING_URI` names a file store.
    """
    before = (recorded or {}).get("mlflow") or {}
    uri, earlier = tracking_uri(), before.get("uri")
    if earlier and earlier != without_password(uri) and (keeps_store or not os.environ.get(URI_VARIABLE)):
        moved = earlier.startswith("sqlite:") and not Path(earlier.partition("://")[2][1:]).exists()
        uri = uri if moved else earlier  # a project that was moved takes its store along
    identifier, name = os.environ.get("MLFLOW_EXPERIMENT_ID"), os.environ.get("MLFLOW_EXPERIMENT_NAME")
    if before and (keeps_store or not (identifier or name)):
        identifier, name = before.get("experiment_id"), before.get("experiment_name")
    run_id = os.environ.get("MLFLOW_RUN_ID") if joins else None
    return Target(uri, identifier or None, name or DEFAULT_EXPERIMENT, run_id or before.get("run_id"))


def without_password(uri: str) -> str:
    """Return a tracking URI that may be shown."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return parts._replace(netloc=parts.netloc.rsplit("@", 1)[1]).geturl()


def environment() -> dict[str, Any]:
    """Return command line, versions, commit, user, and where the run is recorded, as JSON values."""
    goal = target(joins=True)
    return {
        "command": list(sys.argv),
        "versions": _versions(),
        "commit": git_commit(Path(g2l.__file__).parent),
        "user": _user(),
        "mlflow": {**asdict(goal), "uri": without_password(goal.uri)},
    }


def _versions() -> dict[str, str]:
    versions = {"g2l": g2l.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def git_commit(package: Path) -> str | None:
    """Return the commit that holds `package`, with `-dirty` behind it where files differ, or None."""
    tracked = _git(package, "ls-files", "--error-unmatch", "__init__.py")
    return tracked and _git(package, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without an entry
        return "unknown"
