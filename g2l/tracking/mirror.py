"""Content of MLflow for a run, read from its folder alone, without MLflow.

Names follow MLflow's rules (`names`), times are those of the records, so that what is sent twice is the same.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from g2l.errors import G2LError, InputError
from g2l.files import read_lines
from g2l.records import (
    DATASET,
    EPOCHS,
    FIGURES,
    FOLDS,
    JOURNAL,
    METRICS,
    RESULT,
    RUN,
    STATUS,
    TABLES,
    UPDATES,
    DatasetRecord,
    EpochRecord,
    LocalSearchUpdate,
    MetricsRecord,
    RecordedNumbers,
    ResultRecord,
    RunKind,
    RunRecord,
    RunStatus,
    StatusRecord,
    named,
    read_epochs,
    read_metrics,
    read_updates,
)
from g2l.tracking.candidates import Candidates
from g2l.tracking.state import (
    FOLDER_TAG,
    KIND_TAG,
    MAX_TAG_VALUE,
    REASON_TAG,
    ROOT_TAG,
    RUN_ID_TAG,
    Artifact,
    DatasetInput,
    Metric,
    MirroredRun,
    OnnxModel,
    flatten,
    json_text,
    named_metrics,
    shorten,
)

STABLE = (RUN, DATASET, FOLDS, "structure.json")
"""Files of a stage that are sent while it runs; they change rarely."""
FINAL = (
    RESULT, "summary.json", "metrics.json", "evaluation.json", "segments.csv", "report.html", "manifest.json",
    EPOCHS, UPDATES, METRICS, JOURNAL, "model.safetensors", "last.ckpt", "model.onnx",
)  # fmt: skip
"""Files of a stage that are sent when it ends, for they grow or are replaced until then."""
_LEAVES = (RunKind.PREDICT, RunKind.EVALUATE, RunKind.EXPORT)
"""Kinds without stages below them; a folder of predictions holds thousands of files."""
_DEAD = "the process ended before the run did"


T = TypeVar("T")


class Mirror:
    """Reads the folder of a root run again and again; a file that has not changed is not read twice.

    `problems` names what could not be read the last time; the rest is mirrored all the same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        self._read: dict[Path, tuple[object, Any]] = {}

    def runs(self, *, over: bool) -> list[MirroredRun]:
        """Return the run and all below it, parents first; empty where the folder holds no run.

        Where the process of the run is `over`, what has no end yet was killed.
        """
        self.problems = []
        record = self._take(self.folder / RUN, lambda: RunRecord.read(self.folder))
        return [] if record is None else list(self._stage(self.folder, record, None, record.id, over))

    def _take(self, path: Path, read: Callable[[], T]) -> T | None:
        """Return what `read` makes of a file, or None where there is none or it is damaged."""
        stamp = _stamp(path)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            if stamp is None:
                return None
            try:
                known = stamp, read()
            except G2LError as error:
                self.problems.append(error.message)
                return None
            self._read[path] = known
        value: T = known[1]
        return value

    def _stage(
        self, folder: Path, record: RunRecord, parent: str | None, root: str, over: bool
    ) -> Iterator[MirroredRun]:
        try:
            with named(folder / RUN):
                run = self._run(folder, record, parent, root, over)
        except InputError as error:
            self.problems.append(error.message)
            return
        yield from (
            self._with_candidates(folder, run, record) if record.kind is RunKind.SEARCH_GLOBAL else [run]
        )
        if record.kind not in _LEAVES:
            for below in sorted(path.parent for path in folder.glob(f"*/{RUN}")):
                stage = self._take(below / RUN, partial(RunRecord.read, below))
                if stage is not None:
                    yield from self._stage(below, stage, record.id, root, over)

    def _run(self, folder: Path, record: RunRecord, parent: str | None, root: str, over: bool) -> MirroredRun:
        status = self._status(folder, record, over)
        result = self._take(folder / RESULT, lambda: ResultRecord.read(folder)) or ResultRecord()
        data = self._take(folder / DATASET, lambda: DatasetRecord.read(folder))
        tags = {
            KIND_TAG: record.kind.value,
            RUN_ID_TAG: record.id,
            ROOT_TAG: root,
            FOLDER_TAG: folder.name,
            **_environment_tags(record.environment or {}),
            **result.recorded.tags,
            **({} if status.reason is None else {REASON_TAG: status.reason}),
            **({} if data is None else {"g2l.data": data.fingerprint}),
        }
        return MirroredRun(
            id=record.id,
            parent=parent,
            name=record.name,
            started_at=record.started_at,
            status=status.status,
            ended_at=None if status.status is RunStatus.RUNNING else status.at,
            params=flatten(record.settings),
            tags={name: shorten(str(value), MAX_TAG_VALUE) for name, value in tags.items()},
            metrics=self._metrics(folder, record, result.recorded),
            artifacts=list(_files(folder, record, result.artifacts)),
            datasets=_datasets(data, record.settings),
            model=_model(folder, record.kind, result.register or {}),
            mlflow_run_id=record.mlflow_run_id,
        )

    def _with_candidates(self, folder: Path, run: MirroredRun, record: RunRecord) -> list[MirroredRun]:
        path = folder / JOURNAL
        lines = self._take(path, lambda: [line for _, line in read_lines(path)]) or []
        try:
            with named(folder / RUN):
                candidates = Candidates(run, record.settings, lines)
            with named(path):
                return [candidates.search(), *candidates.runs()]
        except InputError as error:
            self.problems.append(error.message)
            return [run]

    def _status(self, folder: Path, record: RunRecord, over: bool) -> StatusRecord:
        found = self._take(folder / STATUS, lambda: StatusRecord.read(folder))
        if found is None:  # written by g2l 0.1.0, or the process was killed at the very start
            done = (folder / RESULT).exists() or (over and record.kind in _LEAVES)
            found = StatusRecord(status=RunStatus.FINISHED if done else RunStatus.RUNNING, at=_latest(folder))
        if over and found.status is RunStatus.RUNNING:
            return StatusRecord(status=RunStatus.KILLED, reason=_DEAD, at=_latest(folder))
        return found

    def _metrics(self, folder: Path, record: RunRecord, recorded: RecordedNumbers) -> dict[str, list[Metric]]:
        first = record.started_at
        local = record.kind is RunKind.SEARCH_LOCAL
        epochs = self._take(folder / EPOCHS, lambda: _epochs(read_epochs(folder), first)) or []
        updates = folder / (UPDATES if (folder / UPDATES).exists() else JOURNAL)
        last = named_metrics(recorded.metrics, recorded.at or first, recorded.step)
        known = {(one.name, one.step, one.value) for one in epochs}
        found = {
            EPOCHS: epochs,
            METRICS: self._take(folder / METRICS, lambda: _numbers(read_metrics(folder), first)),
            UPDATES: self._take(updates, lambda: _updates(read_updates(folder), first)) if local else None,
            RESULT: [one for one in last if (one.name, one.step, one.value) not in known],
        }
        return {source: metrics for source, metrics in found.items() if metrics}


def _epochs(epochs: Sequence[EpochRecord], first: int) -> list[Metric]:
    found = []
    for epoch in epochs:
        numbers = {"train/loss": epoch.loss, "train/learning_rate": epoch.learning_rate}
        numbers |= {f"holdout/{name}": value for name, value in epoch.metrics.items()}
        found += named_metrics(numbers, epoch.at or first, epoch.epoch)
    return found


def _updates(updates: Sequence[LocalSearchUpdate], first: int) -> list[Metric]:
    found = []
    for update in updates:
        numbers = {f"rate/{name}": float(layer.rate_after) for name, layer in update.layers.items()}
        for name, layer in update.layers.items():
            numbers |= {f"branch_weight/{name}/{i}": weight for i, weight in enumerate(layer.weights)}
        found += named_metrics(numbers, update.at or first, update.number)
    return found


def _numbers(records: Sequence[MetricsRecord], first: int) -> list[Metric]:
    return [m for record in records for m in named_metrics(record.metrics, record.at or first, record.step)]


def _environment_tags(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return code, versions and command line as tags; MLflow shows those that start with `mlflow.`."""
    if not environment:
        return {}
    command = [str(part) for part in environment.get("command", [])]
    tags = {
        "mlflow.source.name": command[0] if command else "python",
        "mlflow.source.type": "LOCAL",
        "g2l.command": shlex.join(command),
        **{f"g2l.version.{name}": str(found) for name, found in environment.get("versions", {}).items()},
    }
    if user := environment.get("user"):
        tags["mlflow.user"] = str(user)
    if commit := environment.get("commit"):
        tags |= {"mlflow.source.git.commit": str(commit).removesuffix("-dirty"), "g2l.git": str(commit)}
    return tags


def _datasets(data: DatasetRecord | None, settings: Mapping[str, Any]) -> list[DatasetInput]:
    if data is None:
        return []
    root = settings.get("data", {}).get("data_root", "data")
    return [
        # One name each, for MLflow keeps one input per name and digest.
        DatasetInput(
            name=f"{data.name} split {data.split} {context}",
            digest=data.fingerprint[:36],
            source=str(Path(data.source or Path(root, data.name)).absolute()),
            context=context,
        )
        for context, videos in data.frames.items()
        if videos
    ]


def _files(folder: Path, record: RunRecord, artifacts: Iterable[str]) -> Iterator[Artifact]:
    # A prediction has thousands of files, one of each video; `segments.csv` holds the same.
    more = () if record.kind is RunKind.PREDICT else artifacts
    finals = dict.fromkeys((*FINAL, *more))
    if record.kind is RunKind.TRAIN and "structure" in record.settings:
        text = json_text(record.settings["structure"], indent=2)
        yield Artifact(path="structure.json", text=text, stable=True)
    for name in STABLE:
        if (folder / name).is_file():
            yield Artifact(path=name, file=folder / name, stable=True)
    for name in finals:
        # Records are written by others too: a name must not lead out of the folder.
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        if inside and name not in STABLE and (folder / name).is_file():
            yield Artifact(path=name, file=folder / name)
    for below, pattern in ((TABLES, "*.json"), (FIGURES, "*.*")):
        for path in sorted((folder / below).rglob(pattern)):
            if path.name.startswith("."):  # it is being written
                continue
            name = path.relative_to(folder / below).as_posix()
            yield Artifact(path=name, file=path, stable=True, table=below == TABLES)


def _model(folder: Path, kind: RunKind, register: Mapping[str, Any]) -> OnnxModel | None:
    file = folder / "model.onnx"
    if kind is not RunKind.EXPORT or not (folder / RESULT).is_file() or not file.is_file():
        return None
    return OnnxModel(file=file, registered_model=register.get("name"), alias=register.get("alias"))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _latest(folder: Path) -> int:
    """Return when a file of a stage was last written, in milliseconds since 1970."""
    names = (RUN, STATUS, EPOCHS, UPDATES, METRICS, JOURNAL, RESULT, "last.ckpt")
    times = [stamp[1] for name in names if (stamp := _stamp(folder / name)) is not None]
    return max(times, default=0) // 1_000_000
