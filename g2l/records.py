"""Records of a run folder: one frozen class for each, read and written only here.

Every file is written atomically, every line of a `.jsonl` file is on disk before the run goes on. A torn last
line (a kill while it was written) is dropped; any other damage is an `InputError` that names file and line.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, cast

from g2l.errors import InputError, at, brief
from g2l.files import (
    append_line,
    cut_torn_line,
    describe_file,
    finite,
    read_lines,
    write_json,
    write_text,
)
from g2l.typed_json import build, read_object

RUN, STATUS, RESULT, DATASET = "run.json", "status.json", "result.json", "dataset.json"
FOLDS = "folds.json"
EPOCHS, UPDATES, METRICS, JOURNAL = "epochs.jsonl", "updates.jsonl", "metrics.jsonl", "journal.jsonl"
TABLES, FIGURES = "tables", "figures"
"""Folders of a stage: `tables/<name>.json` holds columns and rows; figures are svg, pdf or png."""
SCHEMA, FIRST_SCHEMA = "g2l.run/2", "g2l.run/1"


class RunKind(StrEnum):
    """Kind of a run."""

    FOLDS = "folds"
    PIPELINE = "pipeline"
    SEARCH_GLOBAL = "search-global"
    SEARCH_LOCAL = "search-local"
    CANDIDATE = "candidate"
    CONTEXT = "context"
    TRAIN = "train"
    SEED = "seed"
    SELECT = "select"
    HOLDOUT = "hold-out"
    EXPORT = "export"
    PREDICT = "predict"
    EVALUATE = "evaluate"


class RunStatus(StrEnum):
    """Whether a run is going on, or how it ended."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return int(time.time() * 1000)


class _Record:
    """A record that is a file of its own, with the fields of its class."""

    FILE: ClassVar[str]
    SCHEMA: ClassVar[str | None] = None

    def write(self, folder: Path) -> None:
        """Write the file."""
        schema = {} if self.SCHEMA is None else {"schema": self.SCHEMA}
        write_json(folder / self.FILE, {**schema, **asdict(cast(Any, self))})

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the file; None where there is none (g2l 0.1.0). A damaged file is an InputError."""
        path = folder / cls.FILE
        return build(cls, read_object(path), str(path)) if path.exists() else None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """`run.json`: what a run is and with which settings it was started.

    Attributes:
        id: 32 hex digits that g2l makes; stable, whatever MLflow does.
        kind: What the run does.
        name: Shown to people.
        settings: The resolved configuration as JSON values.
        started_at: Milliseconds since 1970.
        environment: Command line, versions, commit, tracking store; of root runs only.
        mlflow_run_id: MLflow run that already stands for this one: from a record of g2l 0.1.0.
    """

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    kind: RunKind
    name: str
    settings: Mapping[str, Any]
    started_at: int = field(default_factory=now)
    environment: Mapping[str, Any] | None = None
    mlflow_run_id: str | None = None

    def write(self, folder: Path) -> None:
        """Write `run.json`."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        write_json(folder / RUN, {"schema": SCHEMA, **known})

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `run.json`; that of g2l 0.1.0 gets the MLflow run id, or one made of its place, as its id.

        An `InputError` is raised where it is missing, damaged, or has another schema.
        """
        path = folder / RUN
        value = read_object(path)
        if value.get("schema") not in (SCHEMA, FIRST_SCHEMA):
            raise InputError(f"{path}: expected `schema` to be {SCHEMA}, found {value.get('schema')!r}.")
        if value["schema"] == FIRST_SCHEMA:
            run_id = value.get("run_id")
            place = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:32]
            started_at = path.stat().st_mtime_ns // 1_000_000
            value |= {"id": run_id or place, "name": folder.name, "started_at": started_at}
            value["mlflow_run_id"] = run_id
        return build(cls, value, at(path))


@dataclass(frozen=True, kw_only=True)
class StatusRecord(_Record):
    """`status.json`: whether the run is going on, or how it ended, and why it failed or was killed."""

    FILE = STATUS
    status: RunStatus
    reason: str | None = None
    at: int = field(default_factory=now)


@dataclass(frozen=True, kw_only=True)
class DatasetRecord(_Record):
    """`dataset.json`: the data that a stage used. Frames are those of the feature files, unsampled.

    Attributes:
        name: Of the data set.
        split: Fold, as given.
        fingerprint: Content address of what was read.
        feature_dim: D.
        sample_rate: Of every how many frames one is used.
        fps: Frames a second, or None.
        background: Names of the background classes.
        frames: By partition: frames of each video.
        class_frames: By class: frames in each partition.
        notices: What was odd about the data, one line each.
        source: Folder of the data set.
        files: Size and content hash of every file that was read, by path below `source`.
    """

    FILE = DATASET
    SCHEMA = "g2l.dataset/1"
    name: str
    split: Any
    fingerprint: str
    feature_dim: int
    sample_rate: int
    fps: float | None
    background: Sequence[str]
    frames: Mapping[str, Mapping[str, int]]
    class_frames: Mapping[str, Mapping[str, int]]
    notices: Sequence[str] = field(default_factory=list)
    source: str | None = None
    files: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FoldsRecord(_Record):
    """`folds.json`: the folds of a run, and exactly which videos each choice has seen.

    The stages of fold k are in `fold-<k>`. `search` are the videos that a search done once for all folds has
    seen, or None; `train` those that the choices of each fold have seen, `test` those that it is scored on.
    """

    FILE = FOLDS
    SCHEMA = "g2l.folds/1"
    folds: Sequence[int]
    search: Sequence[str] | None
    train: Mapping[str, Sequence[str]]
    test: Mapping[str, Sequence[str]]


def fold_folder(fold: int) -> str:
    """Return the name of the folder of a fold."""
    return f"fold-{fold}"


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a training, from 1: a line of `epochs.jsonl`.

    `step` and `learning_rate` are those at its end, `loss` is the mean over its steps. The metrics are those
    of the hold-out in percent, empty where none were measured.
    """

    epoch: int
    step: int
    loss: float
    learning_rate: float
    metrics: Mapping[str, float]
    seconds: float
    at: int = field(default_factory=now, compare=False)

    @property
    def key(self) -> int:
        """Key of a line: a resumed run does not write a line with the same key again."""
        return self.epoch


@dataclass(frozen=True, kw_only=True)
class MetricsRecord:
    """Numbers over `step` that belong to no epoch, as of a search: a line of `metrics.jsonl`."""

    step: int
    metrics: Mapping[str, float]
    at: int = field(default_factory=now, compare=False)

    @property
    def key(self) -> tuple[object, ...]:
        """The step and the names."""
        return self.step, *sorted(self.metrics)


@dataclass(frozen=True, kw_only=True)
class LayerUpdate:
    """One update of one layer: `weights` over `branches` moved `rate_before` to `rate_after`."""

    rate_before: int
    branches: tuple[int, ...]
    weights: tuple[float, ...]
    expectation: float
    rate_after: int


@dataclass(frozen=True, kw_only=True)
class LocalSearchUpdate:
    """One estimate of all rates by the local search: a line of `updates.jsonl`.

    `number` is from 1; `step` and `epoch` are those completed; layers are in the order of the network.
    """

    number: int
    step: int
    epoch: int
    layers: Mapping[str, LayerUpdate]
    at: int = field(default_factory=now, compare=False)

    @property
    def key(self) -> int:
        """The number."""
        return self.number

    @property
    def rates(self) -> dict[str, int]:
        """The rate of each layer after the update."""
        return {name: layer.rate_after for name, layer in self.layers.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for a line or a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Return the update that `as_dict` gave, also after a passage through JSON."""
        return build(cls, value, UPDATES)


T = TypeVar("T")


class LineLog:
    """An append-only `.jsonl` file of records; a line whose key is there already is not written again."""

    def __init__(self, path: Path, kind: type[Any]) -> None:
        self.path = path
        self._keys = {record.key for record in read_records(path, kind)}
        cut_torn_line(path)

    def append(self, record: Any) -> None:
        """Write a record as one line, on disk before this returns."""
        if record.key not in self._keys:
            append_line(self.path, asdict(record))
            self._keys.add(record.key)


def read_records(path: Path, kind: type[T]) -> list[T]:
    """Return the records of a `.jsonl` file, none where there is no file; damage is an InputError."""
    return [build(kind, {"at": 0, **value}, at(path, number)) for number, value in read_lines(path)]


def read_epochs(folder: Path) -> list[EpochRecord]:
    """Return the epochs of a training."""
    return read_records(folder / EPOCHS, EpochRecord)


def read_updates(folder: Path) -> list[LocalSearchUpdate]:
    """Return the updates of a local search; g2l 0.1.0 kept them in `journal.jsonl`."""
    path = folder / UPDATES
    return read_records(path if path.exists() else folder / JOURNAL, LocalSearchUpdate)


def read_metrics(folder: Path) -> list[MetricsRecord]:
    """Return the numbers that a stage recorded beside its epochs."""
    return read_records(folder / METRICS, MetricsRecord)


def write_result(
    folder: Path,
    result: Mapping[str, Any],
    artifacts: Iterable[str] = (),
    *,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    step: int = 0,
) -> None:
    """Write `result.json`: from now on the stage counts as finished.

    Args:
        folder: Of the stage.
        result: What it found, as JSON values.
        artifacts: Names of files in the folder that belong to the result; size and hash are kept.
        metrics: Numbers that the tracked run shows, by name.
        tags: Facts that the tracked run shows, by name.
        step: What the numbers are plotted over.
    """
    value = dict(result)
    value["artifacts"] = {name: describe_file(folder / name) for name in artifacts}
    if metrics or tags:
        value["recorded"] = {"metrics": metrics or {}, "tags": tags or {}, "step": step, "at": now()}
    write_json(folder / RESULT, finite(value))


@dataclass(frozen=True, kw_only=True)
class RecordedNumbers:
    """Numbers and facts that the tracked run shows of a result; see `write_result`."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    at: int = 0


@dataclass(frozen=True, kw_only=True)
class ResultRecord(_Record):
    """`result.json`, as far as the tracked run shows it; `register` is name and alias of a model."""

    FILE = RESULT

    artifacts: Mapping[str, Any] = field(default_factory=dict)
    register: Mapping[str, Any] | None = None
    recorded: RecordedNumbers = field(default_factory=RecordedNumbers)


def read_result(folder: Path) -> dict[str, Any] | None:
    """Return what a finished stage found; None where it has not finished or one of its artifacts differs."""
    record = ResultRecord.read(folder)
    if record is None:
        return None
    for name, expected in record.artifacts.items():  # 0.1.0 kept none
        file = folder / name
        if not file.is_file() or not isinstance(expected, dict):
            return None
        if file.stat().st_size != expected.get("size") or describe_file(file) != expected:
            return None
    return read_object(folder / RESULT)


def write_table(folder: Path, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of equal length as `tables/<name>.json`, which the tracked run shows as a table."""
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    table = {"columns": list(columns), "data": rows}
    write_text(folder / TABLES / f"{name}.json", json.dumps(finite(table), allow_nan=False))


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file where its content is not what the stages write: any error becomes an `InputError`."""
    hint = "make the run again, or report it with the version that wrote it."
    try:
        yield
    except InputError as error:  # of a structure or of settings, which do not know the file
        text = str(error)
        raise (
            error if text.startswith(str(path.parent)) else InputError(f"{path}: {text}", hint=hint)
        ) from None
    except KeyError as error:
        raise InputError(f"{path}: expected `{error.args[0]}`, found none.", hint=hint) from None
    except (TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise InputError(f"{path}: {brief(error).rstrip('.')}.", hint=hint) from None
