"""The only place that talks to MLflow: turns events into client calls with explicit run ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from g2l.tracking.environment import load_mlflow
from g2l.tracking.events import Action, Event, RunRef
from g2l.tracking.model_logging import log_model
from g2l.tracking.names import MAX_TAG_VALUE
from g2l.tracking.spool import Spool

_LOCAL_ID_TAG = "g2l.local_id"
_SOURCE_TAGS = ("mlflow.user", "mlflow.source.")
_TABLES_TAG = "mlflow.loggedArtifacts"
_REASON_TAG = "g2l.reason"
_RESOLVED = "resolved."
# One request may hold 1,000 metrics, 100 parameters, 100 tags and 1 MB.
_MAX_METRICS, _MAX_TEXTS = 500, 50


@dataclass
class Batch:
    """Parameters, tags and metrics of one run that travel together."""

    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Take in one batched event."""
        values = event.data["values"]
        if event.action is Action.METRICS:
            step, time = event.data["step"], event.data["time"]
            self.metrics += [(name, value, time, step) for name, value in values.items()]
        else:
            (self.params if event.action is Action.PARAMS else self.tags).update(values)

    def __len__(self) -> int:
        return len(self.metrics) + len(self.params) + len(self.tags)

    def requests(self) -> list[Batch]:
        """Return the batch cut to what one request may hold."""
        params, tags = list(self.params.items()), list(self.tags.items())
        count = max(
            -(-len(self.metrics) // _MAX_METRICS), -(-len(params) // _MAX_TEXTS), -(-len(tags) // _MAX_TEXTS)
        )
        return [
            Batch(
                self.metrics[i * _MAX_METRICS : (i + 1) * _MAX_METRICS],
                dict(params[i * _MAX_TEXTS : (i + 1) * _MAX_TEXTS]),
                dict(tags[i * _MAX_TEXTS : (i + 1) * _MAX_TEXTS]),
            )
            for i in range(count)
        ]

    def singles(self) -> list[Batch]:
        """Return one batch per value, for when one of them is refused and takes the others with it."""
        return [
            *(Batch(metrics=[metric]) for metric in self.metrics),
            *(Batch(params={name: value}) for name, value in self.params.items()),
            *(Batch(tags={name: value}) for name, value in self.tags.items()),
        ]


class Destination:
    """The MLflow store that a spool belongs to. Raises whatever MLflow raises.

    Args:
        spool: Gives the address, the files, and what local runs became.
        cautious: Whether a run that is about to be made may exist already: an attempt failed half-way, or the
            spool was left by a process that was killed.
    """

    def __init__(self, spool: Spool, *, cautious: bool) -> None:
        self.cautious = cautious
        self._spool = spool
        self._header = spool.header
        self._client: Any = None
        self._given: dict[str, Mapping[str, str]] = {}
        self._experiment_id = self._header.experiment_id

    def probe(self) -> None:
        """Return if the store answers at all."""
        self._connected().search_experiments(max_results=1)

    def apply(self, event: Event) -> None:
        """Apply one event that does not travel in a batch."""
        data = event.data
        if event.action is Action.OPEN:
            self._spool.remember(event.run, self._open(event.run, data))
            return
        client, run = self._connected(), self._spool.runs[event.run]
        if event.action is Action.TEXT:
            client.log_text(run.run_id, data["text"], data["name"])
            if data["table"]:
                self._show_as_table(run, data["name"])
        elif event.action is Action.FILE:
            client.log_artifact(run.run_id, str(self._spool.file(data["file"])), data["folder"] or None)
        elif event.action is Action.DATASET:
            self._log_dataset(run, data)
        elif event.action is Action.MODEL:
            log_model(
                client,
                self._header.uri,
                run,
                path=self._spool.file(data["file"]),
                example=self._spool.file(data["example"]),
                registered_model=data["registered_model"],
                alias=data["alias"],
            )
        elif event.action is Action.FINISH:
            client.set_terminated(run.run_id, data["status"], data["time"])

    def log_batch(self, run: str, batch: Batch) -> None:
        """Send a batch that fits one request.

        MLflow never changes a parameter, and `mlflow run` has recorded what it was given, such as a path
        where we record the structure: ours is called `resolved.structure` then.
        """
        from mlflow.entities import Metric, Param, RunTag

        run_id = self._spool.runs[run].run_id
        given = self._given.get(run_id, {})
        params = batch.params.items()
        self._connected().log_batch(
            run_id,
            metrics=[Metric(*metric) for metric in batch.metrics],
            params=[Param(n if given.get(n, v) == v else f"{_RESOLVED}{n}", v) for n, v in params],
            tags=[RunTag(name, value) for name, value in batch.tags.items()],
        )

    def _connected(self) -> Any:
        if self._client is None:
            self._client = load_mlflow().MlflowClient(tracking_uri=self._header.uri)
        return self._client

    def _open(self, local: str, data: Mapping[str, Any]) -> RunRef:
        parent = self._spool.runs[data["parent"]] if data["parent"] else None
        tags = {**data["tags"], "g2l.kind": data["kind"]}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent.run_id
        existing = self._find(data["existing"]) if data["existing"] else None
        if existing is not None:
            self._go_on(existing, tags)
            return existing
        experiment_id = parent.experiment_id if parent else self._experiment()
        opened = self._spool.runs.get(local)
        if opened is None and (self.cautious or data.get("again")):
            opened = self._opened_as(local, experiment_id)
        if opened is not None:
            self._go_on(opened, tags)
            return opened
        run = self._connected().create_run(
            experiment_id,
            start_time=data["time"],
            tags={**tags, _LOCAL_ID_TAG: local},
            run_name=data["name"],
        )
        return RunRef(run.info.run_id, experiment_id)

    def _opened_as(self, local: str, experiment_id: str) -> RunRef | None:
        """Return the run that was made for a local id, by a failed attempt or an earlier process."""
        made = self._connected().search_runs(
            [experiment_id], f"tags.`{_LOCAL_ID_TAG}` = '{local}'", max_results=1
        )
        return RunRef(made[0].info.run_id, experiment_id) if made else None

    def _find(self, run_id: str) -> RunRef | None:
        from mlflow.exceptions import MlflowException

        try:
            found = self._connected().get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        if found.info.lifecycle_stage != "active":
            return None
        self._given[run_id] = found.data.params
        return RunRef(run_id, found.info.experiment_id)

    def _go_on(self, run: RunRef, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        # Whoever made the run knows its source better; `mlflow run` says PROJECT there.
        kept = [RunTag(name, value) for name, value in tags.items() if not name.startswith(_SOURCE_TAGS)]
        self._connected().update_run(run.run_id, status="RUNNING")
        self._connected().log_batch(run.run_id, tags=kept)
        if _REASON_TAG in self._connected().get_run(run.run_id).data.tags:  # why it ended before
            self._connected().delete_tag(run.run_id, _REASON_TAG)

    def _experiment(self) -> str:
        if self._experiment_id is None:
            name = self._header.experiment_name
            found = self._connected().get_experiment_by_name(name)
            self._experiment_id = found.experiment_id if found else self._connected().create_experiment(name)
        return self._experiment_id

    def _show_as_table(self, run: RunRef, name: str) -> None:
        tags = self._connected().get_run(run.run_id).data.tags
        tables = json.loads(tags.get(_TABLES_TAG, "[]"))
        entry = {"path": name, "type": "table"}
        listed = json.dumps([*tables, entry])
        if entry not in tables and len(listed) <= MAX_TAG_VALUE:
            self._connected().set_tag(run.run_id, _TABLES_TAG, listed)

    def _log_dataset(self, run: RunRef, data: Mapping[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=data["name"],
            digest=data["digest"],
            source_type="local",
            source=json.dumps({"uri": data["source"]}),
        )
        tag = InputTag("mlflow.data.context", data["context"])
        self._connected().log_inputs(run.run_id, datasets=[DatasetInput(dataset, [tag])])
