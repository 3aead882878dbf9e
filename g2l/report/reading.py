"""From the folder of a run to `RunFacts`: every value is checked, and a damaged file is named."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from g2l.config import FITNESS_METRICS, BackboneConfig
from g2l.errors import InputError, brief
from g2l.figures.results import HoldoutCurve
from g2l.figures.search import Scored
from g2l.metrics.comparison import Comparison
from g2l.metrics.scores import MEAN_F1, VideoScores, metric_value
from g2l.records import (
    DATASET,
    EPOCHS,
    FOLDS,
    JOURNAL,
    RESULT,
    RUN,
    STATUS,
    UPDATES,
    DatasetRecord,
    FoldsRecord,
    RunKind,
    RunRecord,
    RunStatus,
    StatusRecord,
    fold_folder,
    named,
    read_epochs,
    read_updates,
)
from g2l.report.facts import (
    HAND_DESIGNED,
    ContextFacts,
    GlobalFacts,
    GlobalResult,
    LocalFacts,
    PredictionFacts,
    RunFacts,
    SeedFacts,
    Shape,
    TrainingFacts,
)
from g2l.report.words import NAMES
from g2l.search.journal import JournalContent, read_journal
from g2l.structure import DilationStructure
from g2l.typed_json import build, read_object

STRUCTURE, SUMMARY = "structure.json", "summary.json"
EVALUATION, SEGMENTS = "evaluation.json", "segments.csv"
WANTED = (
    *(RUN, STATUS, RESULT, DATASET, FOLDS, EPOCHS, JOURNAL, UPDATES),
    *(STRUCTURE, SUMMARY, EVALUATION, SEGMENTS),
)
"""Everything that a report reads of a run, by name of the file."""
_MOST_STAGES, _MOST_LAYERS = 64, 24
"""Of a hand-designed network that a report computes."""
_ORIGINS = {"winner": "searched"}
"""Names of trainings outside of a pipeline."""

Stages = Mapping[Path, RunRecord | None]
T = TypeVar("T")


@dataclass(frozen=True)
class _Data:
    dataset: str | None = None
    split: Any = None
    fps: float | None = None
    sample_rate: int | None = None


@dataclass(frozen=True)
class _Search:
    fitness: str = MEAN_F1
    strategy: str = "genetic"
    ending: str | None = None

    def __post_init__(self) -> None:
        if self.fitness not in NAMES:
            raise ValueError(f"expected `fitness` to be one of {', '.join(NAMES)}, found {self.fitness!r}")


@dataclass(frozen=True)
class _Recipe:
    monitor: str = MEAN_F1

    def __post_init__(self) -> None:
        if self.monitor not in FITNESS_METRICS:
            raise ValueError(f"expected `monitor` to be a metric, found {brief(repr(self.monitor))}")


@dataclass(frozen=True)
class _Settings:
    """Settings of stages that the report reads."""

    data: _Data | None = None
    backbone: Mapping[str, Any] | None = None
    recipe: _Recipe | None = None
    search: _Search | None = None
    global_search: _Search | None = None
    local_search: _Search | None = None
    branching: _Search | None = None
    structure: DilationStructure | None = None
    origin: str = ""
    seed: int = 0

    @classmethod
    def of(cls, folder: Path, record: RunRecord) -> _Settings:
        with named(folder / RUN):
            return build(cls, record.settings, str(folder / RUN))

    @property
    def monitor(self) -> str:
        return self.recipe.monitor if self.recipe else MEAN_F1


@dataclass(frozen=True)
class _Environment:
    command: Sequence[Any] = ()
    versions: Mapping[str, Any] = field(default_factory=dict)
    commit: str | None = None


def read_runs(folders: Mapping[str, Path]) -> tuple[RunFacts, ...]:
    """Read runs that are compared in one report, by path or run id; folds follow their run.

    Raises:
        InputError: A folder is not that of a run, or a file in it is damaged.
    """
    runs = []
    for source, folder in folders.items():
        runs.append(read_run(folder, source))
        folds = FoldsRecord.read(folder)
        for name in map(fold_folder, folds.folds if folds else ()):
            if (folder / name / RUN).is_file():
                runs.append(read_run(folder / name, f"{source}/{name}"))
    times = Counter(run.label for run in runs)
    return tuple(
        run if times[run.label] == 1 else replace(run, label=f"{run.label} ({Path(run.source).name})")
        for run in runs
    )


def read_run(folder: Path, source: str | None = None) -> RunFacts:
    """Read one run, finished or not, from the output folder of a command; `source` is what was asked for.

    Raises:
        InputError: It is not such a folder, or a file in it is damaged.
    """
    folds = FoldsRecord.read(folder)
    stages = _stages(folder, folds)
    if not stages:
        raise InputError(
            f"{source or folder}: expected the output folder of a run, but it holds neither {RUN} nor "
            f"{SEGMENTS}.",
            hint="give the folder that search-global, search-local, train, pipeline or predict wrote to.",
        )
    record = stages.get(folder)
    settings = _Settings() if record is None else _Settings.of(folder, record)
    kind = RunKind.PREDICT if record is None else record.kind
    facts, chosen = _data(stages), settings.data or _Data()
    parts = (settings.local_search, settings.branching, settings.search)
    with named(folder / RUN):
        found = build(_Environment, (record and record.environment) or {}, str(folder / RUN))
        backbone = _backbone(settings.backbone)
    run = RunFacts(
        label=folder.name,
        source=str(folder) if source is None else source,
        kind=kind.value,
        settings={} if record is None else record.settings,
        command=tuple(map(str, found.command)),
        versions={name: str(one) for name, one in found.versions.items()}
        | ({"commit": found.commit} if found.commit else {}),
        dataset=chosen.dataset,
        split=None if chosen.split is None else str(chosen.split),
        # Where the settings leave it to the data, the data set's own facts count.
        fps=facts.fps if chosen.fps is None and facts is not None else chosen.fps,
        sample_rate=chosen.sample_rate or (facts.sample_rate if facts is not None else 1),
        ending=next((part.ending for part in parts if part and part.ending), "single"),
        monitor=settings.monitor,
        given=settings.structure if kind is RunKind.PREDICT else None,
        backbone=backbone,
        data=facts,
        search=_first(stages, RunKind.SEARCH_GLOBAL, _global_search),
        local=_first(stages, RunKind.SEARCH_LOCAL, _local_search),
        trainings=_trainings(stages),
        differences=_differences(stages),
        curves=_curves(stages),
        context=_first(stages, RunKind.CONTEXT, lambda path, _: _read(path / RESULT, ContextFacts)),
        predictions=_predictions(stages),
        unfinished=_unfinished(folder, kind),
        **({"reason": _of_folds(folder, folds)} if folds else _contest(folder)),
    )
    return run if run.dataset is None else replace(run, label=f"{run.kind} of {run.subject}")


def _read(path: Path, kind: type[T]) -> T | None:
    """Return what a JSON file holds, None where there is none."""
    if not path.is_file():
        return None
    with named(path):
        return build(kind, read_object(path), str(path))


def _object(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}


def _backbone(value: Mapping[str, Any] | None) -> BackboneConfig | None:
    if value is None:
        return None
    backbone = BackboneConfig(**value).validate()
    if backbone.stages > _MOST_STAGES or max(backbone.layers, backbone.prediction_layers or 1) > _MOST_LAYERS:
        raise ValueError(f"expected at most {_MOST_STAGES} `stages` and {_MOST_LAYERS} `layers`")
    backbone.topology.receptive_field(backbone.hand_designed())  # what cannot be computed is reported here
    return backbone


def _stages(folder: Path, folds: FoldsRecord | None) -> dict[Path, RunRecord | None]:
    """Return the folders that hold a stage with their records: this one, and those just below it but folds.

    Predictions of 0.1.0 outside a run have no record.
    """
    below = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found: dict[Path, RunRecord | None] = {}
    for path in (folder, *(path for path in below if path.name not in (folds.train if folds else ()))):
        if (path / RUN).exists():
            found[path] = RunRecord.read(path)
        elif (path / SEGMENTS).is_file() or (path / EVALUATION).is_file():
            found[path] = None
    return found


def _of_kind(stages: Stages, kind: RunKind) -> list[tuple[Path, RunRecord]]:
    return [(path, record) for path, record in stages.items() if record is not None and record.kind is kind]


def _first(stages: Stages, kind: RunKind, read: Callable[[Path, RunRecord], T]) -> T | None:
    return next((read(*stage) for stage in _of_kind(stages, kind)), None)


def _unfinished(folder: Path, kind: RunKind) -> str | None:
    status = StatusRecord.read(folder)
    if status is not None and status.status in (RunStatus.FAILED, RunStatus.KILLED):
        reason = f" ({status.reason})" if status.reason else ""
        return f"This run was stopped before its end{reason}."
    finished = kind is RunKind.PREDICT if status is None else status.status is RunStatus.FINISHED
    if finished or (folder / RESULT).is_file():
        return None
    return "This run has not finished: the report shows what it has so far."


def _data(stages: Stages) -> DatasetRecord | None:
    """Return the facts of the data, of a stage that holds something out where there is one."""
    known = [facts for path in stages if (facts := DatasetRecord.read(path)) is not None]
    return next((facts for facts in known if facts.frames.get("holdout")), known[0] if known else None)


def _contest(folder: Path) -> dict[str, Any]:
    """Return what a pipeline exported, and why."""
    with named(folder / SUMMARY):
        found = _object(folder / SUMMARY).get("contest") or {}
        return {name: str(found.get(name, "")) for name in ("shipped", "reason")}


def _of_folds(folder: Path, record: FoldsRecord) -> str:
    """Return which model each fold of a pipeline exported, and which videos the choices have seen."""
    with named(folder / SUMMARY):
        exported = (_object(folder / SUMMARY).get("folds") or {}).items()
        models = [f"fold {fold} {one.get('shipped')} ({one.get('model')})" for fold, one in exported]
    words = [f"Each fold exports its own model: {', '.join(models)}."] if models else []
    if record.search is not None:
        videos = {name for side in (record.train, record.test) for names in side.values() for name in names}
        words.append(
            f"One search for all folds has seen {len(record.search)} of {len(videos)} videos, those that "
            f"every fold trains on and none tests on: {', '.join(record.search)}."
        )
    choices = "Choices" if record.search is None else "Other choices"
    words.append(f"{choices} of this run within a fold use its train videos only ({FOLDS} lists them).")
    return " ".join(words)


def _differences(stages: Stages) -> dict[str, Comparison]:
    """Return the comparison at the end of a pipeline, or of a global search by itself."""
    for path in stages:
        for file, key in ((SUMMARY, "difference"), (RESULT, "differences")):
            with named(path / file):
                found = (_object(path / file).get(key) or {}).items()
                if found:
                    return {metric: Comparison.from_dict(one) for metric, one in found}
    return {}


def _trainings(stages: Stages) -> tuple[TrainingFacts, ...]:
    found = [
        _training(folder, record, folder.glob("seed-*")) for folder, record in _of_kind(stages, RunKind.TRAIN)
    ]
    if not found:  # otherwise they are the seeds of a training
        found = [_training(folder, record, [folder]) for folder, record in _of_kind(stages, RunKind.SEED)]
    return tuple(sorted(found, key=lambda training: training.origin != HAND_DESIGNED))


def _training(folder: Path, record: RunRecord, folders: Iterable[Path]) -> TrainingFacts:
    settings = _Settings.of(folder, record)
    with named(folder / RUN):
        if settings.structure is None:
            raise KeyError("structure")
    seeds = [seed for path in folders if (seed := _seed(path)) is not None]
    origin = _ORIGINS.get(settings.origin, settings.origin)
    return TrainingFacts(origin, settings.structure, tuple(sorted(seeds, key=lambda one: one.seed)))


def _seed(folder: Path) -> SeedFacts | None:
    if not (folder / RESULT).exists() or not (folder / RUN).exists():
        return None
    seed = _Settings.of(folder, RunRecord.read(folder)).seed
    with named(folder / RESULT):
        value = read_object(folder / RESULT)
        found = build(SeedFacts, {**value, "seed": seed, "videos": {}}, str(folder / RESULT))
        _check_percent(*(one for name, one in found.test.items() if name not in ("videos", "frames")))
        videos = value.get("test_videos", {}).items()
        return replace(found, videos={name: VideoScores.from_dict(one) for name, one in videos})


def _check_percent(*values: float) -> None:
    for value in values:
        if not -1e-6 <= value <= 100 + 1e-6:
            raise ValueError(f"expected metrics from 0 to 100, found {value:g}")


def _curves(stages: Stages) -> dict[str, HoldoutCurve]:
    """Return the mean hold-out curve of what was trained, by its name."""
    found: dict[str, HoldoutCurve] = {}
    for kind, below in ((RunKind.SELECT, "holdout-*"), (RunKind.TRAIN, "seed-*"), (RunKind.SEED, "")):
        for folder, record in _of_kind(stages, kind):
            settings = _Settings.of(folder, record)
            folders = sorted(folder.glob(below)) if below else [folder]
            curves = [curve for path in folders if (curve := _curve(path, settings.monitor))]
            if curves:
                found.setdefault(settings.origin, HoldoutCurve.of(curves))
    return found


def _curve(folder: Path, monitor: str) -> list[float]:
    epochs = read_epochs(folder)
    with named(folder / EPOCHS):
        curve = [metric_value(one.metrics, monitor) for one in epochs if one.metrics]
        _check_percent(*curve)
        return curve


def _global_search(folder: Path, record: RunRecord) -> GlobalFacts:
    """Read a global search, finished or not."""
    path, settings = folder / JOURNAL, _Settings.of(folder, record)
    search = settings.search or settings.global_search or _Search()
    result = _read(folder / RESULT, GlobalResult)
    content = read_journal(path) if path.is_file() else JournalContent()
    with named(path):
        header = (content.header or {}).get("settings", {})
        first = DilationStructure(header.get("hand_designed") or ((1,),))
        scores = _scores(content, search.fitness, header.get("seed", settings.seed))
        curves = _shape_curves(content, search.fitness, result.shapes if result else ())
    return GlobalFacts(
        strategy=search.strategy,
        fitness=search.fitness,
        winner=_read(folder / STRUCTURE, DilationStructure),
        hand_designed=result.hand_designed if result else first,
        scores=tuple(scores),
        result=result,
        curves=curves,
    )


def _scores(content: JournalContent, fitness: str, seed: int) -> list[Scored]:
    """Return the scores with what had been spent, as the search itself has charged for them."""
    scores, spent = [], 0
    for evaluation, _ in content.evaluations.values():
        spent += content.steps[evaluation.task]
        score = metric_value(evaluation.metrics, fitness) if evaluation.metrics else None
        _check_percent(*([] if score is None else [score]))
        scores.append(Scored(spent, score, evaluation.seed != seed))
    return scores


def _shape_curves(content: JournalContent, fitness: str, shapes: Sequence[Shape]) -> dict[str, HoldoutCurve]:
    """Return the mean hold-out curve of each shape; of a training that was extended, the longer one."""
    names = {shape.structure: shape.name for shape in shapes}
    found: dict[str, dict[object, list[float]]] = {}
    for evaluation, _ in content.evaluations.values():
        epochs = zip(*evaluation.curve.values(), strict=True)
        curve = [metric_value(dict(zip(evaluation.curve, one, strict=True)), fitness) for one in epochs]
        _check_percent(*curve)
        if curve:
            trainings = found.setdefault(names.get(evaluation.structure, evaluation.structure.key), {})
            key = evaluation.seed, evaluation.holdouts
            trainings[key] = max(trainings.get(key, []), curve, key=len)
    return {name: HoldoutCurve.of(list(trainings.values())) for name, trainings in found.items()}


@dataclass(frozen=True)
class _LocalResult:
    steps: int


def _local_search(folder: Path, record: RunRecord) -> LocalFacts:
    """Read a local search, finished or not."""
    start = _Settings.of(folder, record).structure
    with named(folder / RUN):
        if start is None:
            raise KeyError("structure")
    updates = read_updates(folder)
    with named(folder / (UPDATES if (folder / UPDATES).exists() else JOURNAL)):
        for update in updates:
            if update.layers.keys() != updates[0].layers.keys():
                raise ValueError("expected the same `layers` in every line")
            for layer in update.layers.values():
                rates = (layer.rate_before, layer.rate_after, *layer.branches)
                if min(rates) < 1 or not layer.branches or len(layer.branches) != len(layer.weights):
                    raise ValueError("expected rates from 1, and a weight for each of `branches`")
    result = _read(folder / RESULT, _LocalResult)
    found = _read(folder / STRUCTURE, DilationStructure)
    return LocalFacts(start=start, found=found, updates=updates, steps=result.steps if result else None)


def _predictions(stages: Stages) -> PredictionFacts | None:
    for folder in stages:
        if (path := folder / EVALUATION).is_file():
            with named(path):
                value = read_object(path)
                rows = value["per_class"]["classes"].items()
                value["per_class"] = {name: {**row, "f1": row["f1-score"]} for name, row in rows}
                value["metrics"].pop("unsmoothed", None)
                return build(PredictionFacts, value, str(path))
        if (path := folder / SEGMENTS).is_file():
            return _from_segments(path)
    return None


def _from_segments(path: Path) -> PredictionFacts:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({brief(error)}).") from None
    with named(path):
        classes = sorted({row["label"] for row in rows})
        videos: dict[str, Any] = {}
        for row in sorted(rows, key=lambda row: row["video"]):
            video = videos.setdefault(row["video"], {"metrics": {}, "prediction": [], "truth": None})
            video["prediction"].append([classes.index(row["label"]), int(row["end_frame"])])
        return build(PredictionFacts, {"classes": classes, "videos": videos}, str(path))
