"""Opening the MLflow store, and telling what it cannot do now from what it will never do.

Everything that a store may answer (locked, migrating, full, of another schema, deleted experiment, refused
connection, HTTP 5xx, nothing at all) is a `StoreUnavailableError`: the records wait in the run's folder.
Only a request that the store understands and rejects is final.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from g2l.errors import G2LError, OperationalError, brief
from g2l.files import ensure_folder
from g2l.tracking.environment import Target, load_mlflow, target, without_password

PROBE_TAG = "g2l.doctor"
PROBE_SECONDS = 30.0
"""How long a check may take; MLflow's import and the tables of a new SQLite file are most of it."""
REQUEST_SECONDS = 5
"""How long one request of a check may take."""


class StoreUnavailableError(OperationalError):
    """The store cannot take this now; the same may succeed later."""


class RejectedError(Exception):
    """The store works and rejects what was asked of it."""


def ask(what: str, request: Callable[[], Any]) -> Any:
    """Return what a request to MLflow returns; `what` is the store, for messages.

    Raises:
        RejectedError: The request is wrong.
        StoreUnavailableError: Anything else.
    """
    try:
        return request()
    except G2LError:
        raise
    except Exception as error:  # MLflow, SQLAlchemy, HTTP libraries and cloud clients each raise their own
        if code(error) == "INVALID_PARAMETER_VALUE":
            raise RejectedError(reason(error)) from error
        raise StoreUnavailableError(f"MLflow at {what}: {reason(error)}.", hint=_hint(error, what)) from error


def code(error: BaseException) -> str | None:
    """Return the error code of an exception of MLflow's."""
    found = getattr(error, "error_code", None)
    return found if isinstance(found, str) else None


def reason(error: BaseException) -> str:
    """Return what an error says in a few words."""
    for cause in _causes(error):
        if isinstance(cause, TimeoutError) or type(cause).__name__ in ("ReadTimeout", "ReadTimeoutError"):
            return "no answer in time"
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, FileNotFoundError):
            return cause.strerror
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return brief(lines[0].partition(" Response body")[0]).rstrip(".")


def connect(uri: str) -> Any:
    """Return a client of the store; makes a SQLite store that does not exist, and lets MLflow migrate one.

    A SQLite store is made under another name and then renamed, under a lock: neither concurrent starts nor a
    kill leave a half-made one.

    Raises:
        StoreUnavailableError: The store does not answer.
    """
    path = sqlite_path(uri)
    if path is None:
        return ask(without_password(uri), lambda: _opened(uri))
    _check_folder(path)
    with _locked(path):
        if not path.exists():
            ask(uri, lambda: _create(path))
        return ask(uri, lambda: _opened(uri))


def _opened(uri: str) -> Any:
    client = load_mlflow().MlflowClient(tracking_uri=uri)
    client.search_experiments(max_results=1)
    return client


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise StoreUnavailableError(
            f"MLflow at sqlite:///{path}: the folder {path.parent} does not exist.",
            hint="make it, or set the store anew.",
        )


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite store, None of any other."""
    if urlsplit(uri).scheme.partition("+")[0] != "sqlite":
        return None
    return Path(uri.partition("://")[2].removeprefix("/").partition("?")[0]).absolute()


def experiment_id(client: Any, goal: Target) -> str:
    """Return the id of the experiment for new runs, which is made if need be."""
    shown = without_password(goal.uri)
    if goal.experiment_id:
        experiment = ask(shown, lambda: client.get_experiment(goal.experiment_id))
    else:
        experiment = ask(shown, lambda: client.get_experiment_by_name(goal.experiment_name))
    if experiment is None:
        return str(ask(shown, lambda: client.create_experiment(goal.experiment_name)))
    check_active(experiment, shown)
    return str(experiment.experiment_id)


def check_active(experiment: Any, shown: str) -> None:
    """Raise a `StoreUnavailableError` where an experiment is deleted."""
    if experiment.lifecycle_stage != "active":
        raise StoreUnavailableError(
            f"MLflow at {shown}: the experiment {experiment.name!r} is deleted.",
            hint="restore it with `mlflow experiments restore --experiment-id "
            f"{experiment.experiment_id}`, or set MLFLOW_EXPERIMENT_NAME to another one.",
        )


def check_place(experiment: Any, uri: str) -> str | None:
    """Return a note where the artifacts of an experiment are far from its store, as in a copied project.

    Raises:
        StoreUnavailableError: They lie in a folder that is gone, as in a moved project. It is not made again.
    """
    place, store = local_path(experiment.artifact_location), sqlite_path(uri)
    if place is None or store is None or place.is_relative_to(store.parent):
        return None
    beside = store.parent.joinpath(*place.parts[-2:])
    if not place.exists() and not place.parent.exists():
        link = f"ln -s {beside.parent} {place.parent}"
        raise StoreUnavailableError(
            f"MLflow at {uri}: the artifact folder {place} of experiment {experiment.name!r} is gone.",
            hint="move the project back, or link the old place to the new one: "
            + (f"mkdir -p {place.parent.parent} && {link}" if beside.parent.is_dir() else str(place)),
        )
    if not beside.exists():
        return None
    return f"artifacts of experiment {experiment.name!r} are kept in {place}, not beside {store}."


def local_path(location: str) -> Path | None:
    """Return the folder that an artifact location names, None where it is on a server."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(unquote(location)) if not parts.scheme else None


def check_store() -> str:
    """Write a tag in the experiment of new runs, which is made if need be, and read it; return what was done.

    Raises:
        G2LError: Runs would not be recorded.
    """
    goal = target()
    for name in ("mlflow", "alembic", "sqlalchemy", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    found: list[str | Exception] = []

    def check() -> None:
        try:
            found.append(_use(goal))
        except Exception as error:  # whatever MLflow raises, the diagnosis goes on
            found.append(error if isinstance(error, G2LError) else StoreUnavailableError(reason(error)))

    limits = {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST_SECONDS), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    # A thread, since no limit covers looking up a name or a server that answers byte by byte.
    thread = threading.Thread(target=check, daemon=True)
    try:
        thread.start()
        thread.join(PROBE_SECONDS)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    done = found[0] if found else StoreUnavailableError(f"no answer within {PROBE_SECONDS:.0f} s")
    if isinstance(done, Exception):
        raise done
    return done


def _use(goal: Target) -> str:
    path = sqlite_path(goal.uri)
    if path is not None and not path.exists():
        _check_folder(path)
        ensure_folder(path.parent)
        return "it does not exist yet; the first run makes it"
    client, shown, now = connect(goal.uri), without_password(goal.uri), str(time.time())
    identifier = experiment_id(client, goal)
    ask(shown, lambda: client.set_experiment_tag(identifier, PROBE_TAG, now))
    experiment = ask(shown, lambda: client.get_experiment(identifier))
    if experiment.tags.get(PROBE_TAG) != now:
        raise StoreUnavailableError(f"MLflow at {shown}: a tag that was written is not there.")
    note = check_place(experiment, goal.uri)
    return "; ".join(["experiment and tag were written and read", *([] if note is None else [note])])


def _create(path: Path) -> None:
    """Let MLflow make its tables in a new file, which then gets its name."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        _opened(f"sqlite:///{new}")
        SqlAlchemyStore._engine_map.pop(f"sqlite:///{new}").dispose()
        if not path.exists():  # MLflow itself may have made one meanwhile
            new.rename(path)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time make or migrate a SQLite store."""
    try:
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StoreUnavailableError(f"{path.parent}: cannot be written ({error.strerror}).") from error
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hint(error: Exception, what: str) -> str:
    text = str(error)
    if "out-of-date database schema" in text:
        return f"back the database up, then run `mlflow db upgrade {what}`."
    if "Can't locate revision" in text:
        return "the database was written by a newer MLflow: update MLflow, or use another store."
    return "check MLFLOW_TRACKING_URI, and whether the server runs (`g2l doctor`)."


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
