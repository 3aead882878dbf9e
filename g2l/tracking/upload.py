"""Sends to MLflow what it lacks of a run's folder: incremental, and harmless to repeat or to kill.

`tracking.json` in the folder lists what was sent to which store. It is written now and then, so a kill makes
the next uploader send some of it again: equal metrics, parameters, tags and files change nothing in MLflow,
runs are found again by the tag with our id.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from g2l.errors import InputError
from g2l.files import fingerprint, read_json, write_text
from g2l.records import RUN, RunRecord, RunStatus
from g2l.tracking import store
from g2l.tracking.environment import Target, without_password
from g2l.tracking.mirror import Mirror
from g2l.tracking.models import MODEL_NAME, log_model
from g2l.tracking.state import REASON_TAG, ROOT_TAG, RUN_ID_TAG, Artifact, MirroredRun
from g2l.tracking.store import RejectedError, StoreUnavailableError

TRACKING = "tracking.json"
SCHEMA = "g2l.tracking/1"
SAVE_SECONDS = 3.0
_RESOLVED = "resolved."
"""Prefix of parameters that the run has with another value, which MLflow never changes: `mlflow run` records
what it was given, such as a path where we record the structure."""
_SOURCE_TAGS = ("mlflow.user", "mlflow.source.")
_TEXTS, _METRICS = 50, 800
"""Parameters and tags, and metrics, of one request: MLflow takes 1,000 values and a megabyte."""
_SECONDS_PER_BYTE = 1e-6
"""How long the upload of a file may take without a sign of progress."""


class Uploader:
    """Brings one store to the state of a root run's folder.

    `on_progress` is called with 0 after each request that succeeded, and with the seconds that a long one may
    take before it. `notes` are lines for a person, such as values that MLflow rejects.
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
        self._found: dict[str, Any] | None = None
        self._places: set[str] = set()
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
        self._note(*self._mirror.problems)
        if not runs:
            raise InputError((*self._mirror.problems, f"{self.folder}: holds no run.")[0])
        self._away = None
        try:
            if self._client is None:
                self._open_store(runs[0])
            for run in runs:
                self._send(run)
            complete = all(run.status is not RunStatus.RUNNING for run in runs) and self._away is None
        except StoreUnavailableError:
            self._client = self._found = None  # what was asked last may have happened all the same
            self._places.clear()
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
        """Connect, and see whether the store still has the run."""
        path = store.sqlite_path(self._target.uri)
        if path is not None and not path.exists():
            self._progress(60.0)  # MLflow makes its tables
        self._client = store.connect(self._target.uri)
        known = self._sent["runs"].get(root.id)
        if known is not None and self._target.run_id not in (None, known["run_id"]):
            self._sent["runs"].pop(root.id)  # resumed under another `mlflow run`
            self._sent["resumes"] = known["run_id"]
        elif known is not None and self._run(known["run_id"]) is None:
            self._sent.clear()  # another database at the same place
            self._sent["runs"] = {}

    def _run(self, run_id: str) -> Any:
        """Return a run of MLflow's, None where there is none."""
        try:
            run = self._ask(lambda: self._client.get_run(run_id))
        except RejectedError:
            return None
        except StoreUnavailableError as error:
            if error.__cause__ is not None and store.code(error.__cause__) == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        if not _active(run):
            store.check_active(self._experiment(run.info.experiment_id), self._shown)
        return run

    def _experiment(self, experiment_id: str) -> Any:
        return self._ask(lambda: self._client.get_experiment(experiment_id))

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
            if _active(self._run(known["run_id"])):
                raise StoreUnavailableError(f"MLflow at {self._shown}: {error}.") from error
            known["deleted"] = True
            self._note(f"run {known['run_id']} was deleted in MLflow and is not recorded further.")
        self._save()

    def _open(self, run: MirroredRun) -> dict[str, Any]:
        """Return what is known of a run that was found in the store or made there."""
        parent = None if run.parent is None else self._sent["runs"][run.parent]
        given = [one for one in (None if parent else self._target.run_id, run.mlflow_run_id) if one]
        found = next((one for one in map(self._run, given) if one is not None), None)
        if not _active(found):
            if parent is None and "experiment_id" not in self._sent:
                self._sent["experiment_id"] = store.experiment_id(self._client, self._target)
            experiment = (parent or self._sent)["experiment_id"]
            found = self._already(run, experiment)
        if found is not None:
            sent = {"run_id": found.info.run_id, "experiment_id": found.info.experiment_id}
            return {**sent, "given": dict(found.data.params), "joined": True}
        tags = {RUN_ID_TAG: run.id, ROOT_TAG: run.tags[ROOT_TAG]}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent["run_id"]
        made = self._write(
            lambda: self._client.create_run(
                experiment, start_time=run.started_at, tags=tags, run_name=run.name
            )
        )
        return {"run_id": made.info.run_id, "experiment_id": experiment, "status": ["RUNNING", None]}

    def _already(self, run: MirroredRun, experiment: str) -> Any:
        """Return the run of an earlier uploader that could not note it; all are looked up once."""
        if self._found is None:
            from mlflow.utils import get_results_from_paginated_fn

            where = f"tags.`{ROOT_TAG}` = '{run.tags[ROOT_TAG]}'"
            found = self._ask(
                lambda: get_results_from_paginated_fn(  # type: ignore[no-untyped-call]
                    lambda most, token: self._client.search_runs(
                        [experiment], where, max_results=most, page_token=token
                    ),
                    1000,
                )
            )
            self._found = {one.data.tags.get(RUN_ID_TAG, ""): one for one in found}
        return self._found.get(run.id)

    def _send_values(self, run: MirroredRun, known: dict[str, Any]) -> None:
        """Send parameters, tags and metrics that are new, many in a request."""
        from mlflow.entities import Metric, Param, RunTag

        tags, counts = self._tags(run, known), known.setdefault("metrics", {})
        texts: list[Any] = []
        if "params" not in known:  # a run keeps its settings
            texts += [Param(*one) for one in _lacking(run.params, known.get("given", {}))]
        if known.get("tags") != fingerprint(tags):
            texts += [RunTag(*one) for one in tags.items()]
        metrics = []
        for source, found in run.metrics.items():
            first = counts.get(source, 0)  # a list that became shorter was written anew
            fresh = found[first if first <= len(found) else 0 :]
            metrics += [Metric(one.name, one.value, one.at, one.step) for one in fresh]
        while texts or metrics:
            self._log(known["run_id"], [*texts[:_TEXTS], *metrics[:_METRICS]])
            texts, metrics = texts[_TEXTS:], metrics[_METRICS:]
        if REASON_TAG not in tags and known.pop("reason", False):  # resumed; asked once: it may be gone
            self._write(lambda: self._client.delete_tag(known["run_id"], REASON_TAG))
        counts |= {source: len(found) for source, found in run.metrics.items()}
        known |= {"params": True, "tags": fingerprint(tags), "reason": REASON_TAG in tags}
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
        tables = [{"path": one.path, "type": "table"} for one in run.artifacts if one.table]
        while tables and len(json.dumps(tables)) > 8000:
            tables.pop()
        return tags | ({"mlflow.loggedArtifacts": json.dumps(tables)} if tables else {})

    def _log(self, run_id: str, values: Sequence[Any]) -> None:
        """Send metrics, parameters and tags; where one is rejected, find it and send the others."""
        from mlflow.entities import Metric, Param, RunTag

        kinds = {"metrics": Metric, "params": Param, "tags": RunTag}
        parts = {name: [one for one in values if isinstance(one, kind)] for name, kind in kinds.items()}
        try:
            self._write(lambda: self._client.log_batch(run_id, **parts))
        except RejectedError as error:
            if not _active(self._run(run_id)):
                raise
            if len(values) == 1:
                self._note(f"MLflow rejects `{values[0].key}`, which is left out: {error}")
                return
            middle = len(values) // 2
            for half in (values[:middle], values[middle:]):
                self._log(run_id, half)

    def _send_data(self, run: MirroredRun, known: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        stamp = fingerprint(run.datasets)
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
        """Send files that are new or, once the run has ended, changed; then the model.

        Where the artifacts cannot be stored, the rest is recorded all the same.
        """
        ended = run.status is not RunStatus.RUNNING
        sent: dict[str, Any] = known.setdefault("files", {})
        if self._away is not None:
            return
        try:
            for artifact in run.artifacts:
                if ended or (artifact.stable and artifact.path not in sent):
                    stamp = artifact.stamp
                    if stamp is not None and sent.get(artifact.path) != stamp:
                        self._send_file(artifact, known, _SECONDS_PER_BYTE * stamp[0])
                        sent[artifact.path] = stamp
                        self._save()
            if run.status is RunStatus.FINISHED:
                self._send_model(run, known)
        except StoreUnavailableError as error:
            self._away = error

    def _send_file(self, artifact: Artifact, known: Mapping[str, Any], seconds: float) -> None:
        self._check_place(known)
        run_id, folder = known["run_id"], artifact.path.rpartition("/")[0] or None
        if artifact.file is None:
            self._write(lambda: self._client.log_text(run_id, artifact.text, artifact.path))
        else:
            self._write(lambda: self._client.log_artifact(run_id, str(artifact.file), folder), seconds)

    def _send_model(self, run: MirroredRun, known: dict[str, Any]) -> None:
        model = run.model
        stamp = None if model is None else f"{Artifact(path=MODEL_NAME, file=model.file).stamp} {vars(model)}"
        if model is None or known.get("model") == stamp:
            return
        self._check_place(known)
        found = self._ask(lambda: self._client.get_run(known["run_id"]))
        try:
            self._write(lambda: log_model(self._client, self._target.uri, found, model), seconds=60.0)
        except RejectedError as error:
            self._note(f"MLflow rejects the model of {run.name!r}: {error}")
        known["model"] = stamp

    def _check_place(self, known: Mapping[str, Any]) -> None:
        if known["experiment_id"] not in self._places:
            note = store.check_place(self._experiment(known["experiment_id"]), self._target.uri)
            self._note(*([] if note is None else [note]))
            self._places.add(known["experiment_id"])

    def _send_status(self, run: MirroredRun, known: dict[str, Any]) -> None:
        stamp = [run.status.value, run.ended_at]
        if known.get("status") == stamp:
            return
        if run.status is RunStatus.RUNNING:
            self._write(lambda: self._client.update_run(known["run_id"], status=run.status.value))
        else:
            self._write(lambda: self._client.set_terminated(known["run_id"], run.status.value, run.ended_at))
        known["status"] = stamp

    def _note(self, *lines: str) -> None:
        self.notes += [line for line in lines if line not in self.notes]

    def _save(self, *, now: bool = False) -> None:
        if (now or time.monotonic() - self._saved_at > SAVE_SECONDS) and (self.folder / RUN).exists():
            value = {"schema": SCHEMA, "stores": self._stores}
            write_text(self.folder / TRACKING, json.dumps(value, sort_keys=True))
            self._saved_at = time.monotonic()


def _active(run: Any) -> bool:
    return run is not None and run.info.lifecycle_stage == "active"


def _lacking(params: Mapping[str, str], given: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the parameters that a run lacks; MLflow never changes one that is there."""
    named = {
        name if given.get(name, value) == value else f"{_RESOLVED}{name}": value
        for name, value in params.items()
    }
    return [(name, value) for name, value in named.items() if name not in given]


def read_tracking(folder: Path) -> dict[str, Any]:
    """Return by store what was sent of a run; empty where nothing was, or the file is damaged.

    Unknown parts are sent again, which changes nothing.
    """
    try:
        value = read_json(folder / TRACKING)
        stores: dict[str, Any] = value["stores"] if value["schema"] == SCHEMA else {}
        known = [run["run_id"] for sent in stores.values() for run in sent["runs"].values()]
    except (InputError, KeyError, TypeError, AttributeError):
        return {}
    return stores if all(isinstance(run_id, str) for run_id in known) else {}


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """Where MLflow keeps a run; `model` is the id of the run, itself or one below, that holds a model."""

    uri: str
    run_id: str
    experiment_id: str
    model: str | None = None

    @property
    def page(self) -> str | None:
        """Where a browser shows the run; None of a hosted store, whose pages have other addresses."""
        place = f"/#/experiments/{self.experiment_id}/runs/{self.run_id}"
        if self.uri.startswith("http"):
            return f"{self.uri.rstrip('/')}{place}"
        if "://" not in self.uri:
            return None
        return f"http://127.0.0.1:5000{place} once `mlflow ui --backend-store-uri {self.uri}` runs"

    @property
    def serve(self) -> str | None:
        """The command that serves the model, None where there is none."""
        command = f"mlflow models serve -m runs:/{self.model}/{MODEL_NAME} --env-manager local"
        return None if self.model is None else f"MLFLOW_TRACKING_URI={self.uri} {command}"


def recorded_run(folder: Path, target: Target) -> RecordedRun | None:
    """Return where MLflow keeps the root run of a folder, None where it is not recorded."""
    uri = without_password(target.uri)
    try:
        runs = read_tracking(folder)[uri]["runs"]
        root = runs[RunRecord.read(folder).id]
    except (InputError, KeyError):
        return None
    model = next((run["run_id"] for run in runs.values() if "model" in run), None)
    return RecordedRun(
        uri=uri, run_id=root["run_id"], experiment_id=str(root.get("experiment_id")), model=model
    )
