"""Sends to MLflow what it lacks of a run's folder: incremental, and harmless to repeat or to kill.

`tracking.json` in the folder says what was sent to which store. It is written now and then, so a kill makes
the next uploader send some of it again: equal metrics, parameters, tags and files change nothing in MLflow,
runs are found again by the tag with our id.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.files import describe_file, fingerprint, read_json, write_text
from g2l.records import RunRecord, RunStatus
from g2l.tracking import store
from g2l.tracking.environment import Target, without_password
from g2l.tracking.mirror import Mirror
from g2l.tracking.models import log_model
from g2l.tracking.state import REASON_TAG, ROOT_TAG, RUN_ID_TAG, Artifact, Metric, MirroredRun
from g2l.tracking.store import RejectedError, StoreUnavailableError

TRACKING = "tracking.json"
SCHEMA = "g2l.tracking/1"
SAVE_SECONDS = 3.0
_RESOLVED = "resolved."
"""Prefix of parameters that the run has with another value, which MLflow never changes: `mlflow run` records
what it was given, such as a path where we record the structure."""
_SOURCE_TAGS = ("mlflow.user", "mlflow.source.")
_MAX_ENTRIES, _MAX_TEXTS, _MAX_BYTES = 1000, 100, 800_000
_SECONDS_PER_BYTE = 1e-6
"""How long the upload of a file may take without a sign of progress."""


class Uploader:
    """Brings one store to what the folder of a run says.

    Args:
        folder: Of the root run.
        target: Where it is recorded.
        on_progress: Called with 0 after each request that succeeded, and with the seconds that a long one
            may take before it.

    Attributes:
        notes: What a person should know, such as values that MLflow rejects; one line each.
    """

    def __init__(
        self, folder: Path, target: Target, on_progress: Callable[[float], None] = lambda _: None
    ) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._target = target
        self._shown = without_password(target.uri)
        self._progress = on_progress
        self._mirror = Mirror(folder)
        self._stores = read_tracking(folder)
        self._sent: dict[str, Any] = self._stores.setdefault(self._shown, {"runs": {}})
        self._saved_at = time.monotonic()
        self._client: Any = None
        self._connected = False
        self._found: dict[str, Any] | None = None
        self._away: StoreUnavailableError | None = None

    def step(self, *, over: bool) -> bool:
        """Send what is new; return whether all of a finished run has arrived.

        Args:
            over: Whether the process of the run has ended.

        Raises:
            InputError: The folder holds no run that can be read.
            StoreUnavailableError: Something could not be sent; the rest was.
        """
        runs = self._mirror.runs(over=over)
        self._note(self._mirror.problems)
        if not runs:
            raise InputError((*self._mirror.problems, f"{self.folder}: holds no run.")[0])
        self._away = None
        try:
            self._open_store(runs[0])
            for run in runs:
                self._send(run)
            complete = all(run.status is not RunStatus.RUNNING for run in runs) and self._away is None
            self._sent["complete"] = complete
        except StoreUnavailableError:
            self._client = self._found = None  # what was asked last may have happened all the same
            raise
        finally:
            self._save(now=True)
        if self._away is not None:
            raise self._away
        return complete

    def _ask(self, request: Callable[[], Any]) -> Any:
        return store.ask(self._shown, request)

    def _write(self, request: Callable[[], Any], seconds: float = 0.0) -> Any:
        """Change the store, which is what counts as progress: reading works in many a broken one."""
        if seconds:
            self._progress(seconds)
        answer = self._ask(request)
        self._progress(0.0)
        return answer

    def _open_store(self, root: MirroredRun) -> None:
        """Connect, once, and see whether the store still has the run."""
        if self._client is not None:
            return
        path = store.sqlite_path(self._target.uri)
        if path is not None and not path.exists():
            self._progress(60.0)  # MLflow makes its tables
        client = store.connect(self._target.uri)
        if not self._connected:
            self._progress(0.0)
            self._connected = True
        known = self._sent["runs"].get(root.id)
        joined = self._target.run_id
        if known is not None and joined and known["run_id"] != joined:
            self._sent["runs"].pop(root.id)  # resumed under another `mlflow run`
            self._sent["resumes"] = known["run_id"]
            known = None
        if known is not None and self._run(client, known["run_id"]) is None:
            self._sent.clear()  # another database at the same place
            self._sent["runs"] = {}
        self._client = client

    def _run(self, client: Any, run_id: str) -> Any:
        """Return a run of MLflow's, None where there is none.

        Raises:
            StoreUnavailableError: Its experiment is deleted.
        """
        from mlflow.exceptions import MlflowException

        def get() -> Any:
            try:
                return client.get_run(run_id)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

        try:
            run = self._ask(get)
        except RejectedError:
            return None
        if run is not None and run.info.lifecycle_stage != "active":
            experiment = self._ask(lambda: client.get_experiment(run.info.experiment_id))
            store.check_active(experiment, self._shown)
        return run

    def _send(self, run: MirroredRun) -> None:
        known = self._sent["runs"].get(run.id)
        if known is None:
            known = self._sent["runs"][run.id] = self._open(run)
        if known.get("deleted"):
            return
        try:
            self._send_values(run, known)
            self._send_data(run, known)
            self._send_files(run, known)
            self._send_status(run, known)
        except RejectedError as error:
            found = self._run(self._client, known["run_id"])
            if found is not None and found.info.lifecycle_stage == "active":
                raise StoreUnavailableError(f"MLflow at {self._shown}: {error}.") from error
            known["deleted"] = True
            self._note([f"run {known['run_id']} was deleted in MLflow and is not recorded further."])
        self._save()

    def _open(self, run: MirroredRun) -> dict[str, Any]:
        """Return what is known of a run that was found in the store or made there."""
        parent = None if run.parent is None else self._sent["runs"][run.parent]
        found = None
        for candidate in (None if run.parent else self._target.run_id, run.mlflow_run_id):
            if candidate and found is None:
                found = self._run(self._client, candidate)
        if found is None or found.info.lifecycle_stage != "active":
            experiment = parent["experiment_id"] if parent else self._experiment()
            found = self._already(run, experiment)
        if found is not None:
            sent = {"run_id": found.info.run_id, "experiment_id": found.info.experiment_id}
            return {**sent, "given": dict(found.data.params), "joined": True, "status": found.info.status}
        tags = {RUN_ID_TAG: run.id, ROOT_TAG: run.tags[ROOT_TAG]}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent["run_id"]
        made = self._write(
            lambda: self._client.create_run(
                experiment, start_time=run.started_at, tags=tags, run_name=run.name
            )
        )
        return {"run_id": made.info.run_id, "experiment_id": experiment, "status": "RUNNING"}

    def _experiment(self) -> str:
        if "experiment_id" not in self._sent:
            self._sent["experiment_id"] = store.experiment_id(self._client, self._target)
        return str(self._sent["experiment_id"])

    def _already(self, run: MirroredRun, experiment: str) -> Any:
        """Return the run of an earlier uploader that could not note it; all are looked up once."""
        if self._found is None:
            self._found, token = {}, None
            where = f"tags.`{ROOT_TAG}` = '{run.tags[ROOT_TAG]}'"
            while True:
                page = self._ask(
                    lambda token=token: self._client.search_runs([experiment], where, page_token=token)  # type: ignore[misc]
                )
                self._found |= {found.data.tags.get(RUN_ID_TAG, ""): found for found in page}
                token = page.token
                if not token:
                    break
        return self._found.get(run.id)

    def _send_values(self, run: MirroredRun, known: dict[str, Any]) -> None:
        """Send parameters, tags and metrics that are new, many in a request."""
        tags = self._tags(run, known)
        fresh = fingerprint(tags) != known.get("tags")
        params = {} if known.get("params") == fingerprint(dict(run.params)) else self._params(run, known)
        counts: dict[str, int] = known.setdefault("metrics", {})
        metrics: list[Metric] = []
        for source, found in run.metrics.items():
            # A list that became shorter was written anew.
            first = counts.get(source, 0)
            metrics += found[first if first <= len(found) else 0 :]
        for request in _requests(params, tags if fresh else {}, metrics):
            self._log(known["run_id"], *request)
        known["params"], known["tags"] = fingerprint(dict(run.params)), fingerprint(tags)
        counts |= {source: len(found) for source, found in run.metrics.items()}
        if REASON_TAG not in tags and known.pop("reason", False):
            self._write(lambda: self._client.delete_tag(known["run_id"], REASON_TAG))
        if REASON_TAG in tags:
            known["reason"] = True
        known.pop("given", None)

    def _tags(self, run: MirroredRun, known: Mapping[str, Any]) -> dict[str, str]:
        tags = dict(run.tags)
        if known.get("joined") and known["run_id"] == self._target.run_id:
            # Whoever made the run knows its source better; `mlflow run` says PROJECT there.
            tags = {name: value for name, value in tags.items() if not name.startswith(_SOURCE_TAGS)}
        if run.parent is not None:
            tags["mlflow.parentRunId"] = self._sent["runs"][run.parent]["run_id"]
        elif "resumes" in self._sent:
            tags["g2l.resumes"] = self._sent["resumes"]
        tables = [{"path": a.path, "type": "table"} for a in run.artifacts if a.table]
        while tables and len(json.dumps(tables)) > 8000:
            tables.pop()
        return tags | ({"mlflow.loggedArtifacts": json.dumps(tables)} if tables else {})

    def _params(self, run: MirroredRun, known: Mapping[str, Any]) -> dict[str, str]:
        """Return the parameters that a run lacks; MLflow never changes one that is there."""
        given = known.get("given")
        if given is None and "params" in known:
            given = self._ask(lambda: self._client.get_run(known["run_id"])).data.params
        given = given or {}
        named = {
            name if given.get(name, value) == value else f"{_RESOLVED}{name}": value
            for name, value in run.params.items()
        }
        return {name: value for name, value in named.items() if name not in given}

    def _log(
        self, run_id: str, params: Mapping[str, str], tags: Mapping[str, str], metrics: Sequence[Metric]
    ) -> None:
        """Send one request; where it is rejected, find the value that is and send the others."""
        from mlflow import entities

        def request() -> None:
            self._client.log_batch(
                run_id,
                metrics=[entities.Metric(one.name, one.value, one.at, one.step) for one in metrics],
                params=[entities.Param(name, value) for name, value in params.items()],
                tags=[entities.RunTag(name, value) for name, value in tags.items()],
            )

        try:
            self._write(request)
        except RejectedError as error:
            run = self._run(self._client, run_id)
            if run is None or run.info.lifecycle_stage != "active":
                raise
            names = [*params, *tags, *(metric.name for metric in metrics)]
            if len(names) == 1:
                self._note([f"MLflow rejects `{names[0]}`, which is left out: {error}"])
                return
            for name, value in params.items():
                self._log(run_id, {name: value}, {}, [])
            for name, value in tags.items():
                self._log(run_id, {}, {name: value}, [])
            middle = len(metrics) // 2
            for half in (metrics[:middle], metrics[middle:]):
                if half:
                    self._log(run_id, {}, {}, half)

    def _send_data(self, run: MirroredRun, known: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        stamp = fingerprint([vars(one) for one in run.datasets])
        if not run.datasets or known.get("datasets") == stamp:
            return
        inputs = [
            DatasetInput(
                Dataset(one.name, one.digest, "local", json.dumps({"uri": one.source})),
                [InputTag("mlflow.data.context", one.context)],
            )
            for one in run.datasets
        ]
        self._write(lambda: self._client.log_inputs(known["run_id"], datasets=inputs))
        known["datasets"] = stamp

    def _send_files(self, run: MirroredRun, known: dict[str, Any]) -> None:
        """Send files that are new or, once the run has ended, changed.

        Where the artifacts cannot be stored, the rest is recorded all the same.
        """
        if self._away is not None:
            return
        ended = run.status is not RunStatus.RUNNING
        sent: dict[str, Any] = known.setdefault("files", {})
        try:
            for artifact in run.artifacts:
                if ended or (artifact.stable and artifact.path not in sent):
                    self._send_file(artifact, known, sent)
            if run.model is not None and ended and run.status is RunStatus.FINISHED:
                self._send_model(run, known)
        except StoreUnavailableError as error:
            self._away = error

    def _send_file(self, artifact: Artifact, known: Mapping[str, Any], sent: dict[str, Any]) -> None:
        run_id, before = known["run_id"], sent.get(artifact.path)
        folder = artifact.path.rpartition("/")[0]
        if artifact.file is None:
            content: Any = fingerprint(artifact.text)
            if before == content:
                return
            self._check_place(known)
            self._write(lambda: self._client.log_text(run_id, artifact.text, artifact.path))
        else:
            file = artifact.file
            try:
                status = file.stat()
                stamp = [status.st_size, status.st_mtime_ns]
                if before is not None and before[:2] == stamp:
                    return
                content = [*stamp, describe_file(file)["sha256"]]
            except OSError:  # gone meanwhile
                return
            if before is None or before[2] != content[2]:
                self._check_place(known)
                seconds = status.st_size * _SECONDS_PER_BYTE
                self._write(
                    lambda: self._client.log_artifact(run_id, str(file), folder or None), seconds=seconds
                )
        sent[artifact.path] = content
        self._save()

    def _send_model(self, run: MirroredRun, known: dict[str, Any]) -> None:
        model = run.model
        stamp = None if model is None else fingerprint([describe_file(model.file), str(vars(model))])
        if model is None or known.get("model") == stamp:
            return
        self._check_place(known)
        found = self._ask(lambda: self._client.get_run(known["run_id"]))
        try:
            self._write(lambda: log_model(self._client, self._target.uri, found, model), seconds=60.0)
        except RejectedError as error:
            self._note([f"MLflow rejects the model of {run.name!r}: {error}"])
        known["model"] = stamp

    def _check_place(self, known: Mapping[str, Any]) -> None:
        experiment = self._ask(lambda: self._client.get_experiment(known["experiment_id"]))
        note = store.check_place(experiment, self._target.uri)
        self._note([] if note is None else [note])

    def _send_status(self, run: MirroredRun, known: dict[str, Any]) -> None:
        status = run.status.value
        stamp = status if run.ended_at is None else f"{status} {run.ended_at}"
        if known.get("status") == stamp:
            return
        if run.status is RunStatus.RUNNING:
            self._write(lambda: self._client.update_run(known["run_id"], status=status))
        else:
            self._write(lambda: self._client.set_terminated(known["run_id"], status, run.ended_at))
        known["status"] = stamp

    def _note(self, lines: Sequence[str]) -> None:
        self.notes += [line for line in lines if line not in self.notes]

    def _save(self, *, now: bool = False) -> None:
        if (now or time.monotonic() - self._saved_at > SAVE_SECONDS) and (self.folder / "run.json").exists():
            value = {"schema": SCHEMA, "stores": self._stores}
            write_text(self.folder / TRACKING, json.dumps(value, sort_keys=True))
            self._saved_at = time.monotonic()


def _requests(
    params: Mapping[str, str], tags: Mapping[str, str], metrics: Sequence[Metric]
) -> Iterator[tuple[dict[str, str], dict[str, str], list[Metric]]]:
    """Yield parameters, tags and metrics cut to what one request may hold."""
    batch: tuple[dict[str, str], dict[str, str], list[Metric]] = ({}, {}, [])
    size = 0
    entries: list[tuple[int, Any, int]] = [
        *((0, item, len(item[0]) + len(item[1])) for item in params.items()),
        *((1, item, len(item[0]) + len(item[1])) for item in tags.items()),
        *((2, metric, len(metric.name)) for metric in metrics),
    ]
    for place, entry, length in entries:
        full = len(batch[place]) >= (_MAX_ENTRIES if place == 2 else _MAX_TEXTS)
        if full or size + length > _MAX_BYTES or sum(map(len, batch)) >= _MAX_ENTRIES:
            yield batch
            batch, size = ({}, {}, []), 0
        if place == 2:
            batch[2].append(entry)
        else:
            batch[place][entry[0]] = entry[1]
        size += length + 100
    if any(batch):
        yield batch


def read_tracking(folder: Path) -> dict[str, Any]:
    """Return by store what was sent of a run; empty where nothing was, or the file is damaged."""
    try:
        value = read_json(folder / TRACKING)
    except InputError:
        return {}
    stores = value.get("stores") if isinstance(value, dict) and value.get("schema") == SCHEMA else None
    return stores if isinstance(stores, dict) else {}


def recorded_run_id(folder: Path, target: Target) -> str | None:
    """Return MLflow's id of the root run of a folder, None where it is not recorded."""
    try:
        known = read_tracking(folder)[without_password(target.uri)]["runs"][RunRecord.read(folder).id]
        return str(known["run_id"])
    except (InputError, KeyError, TypeError):
        return None
