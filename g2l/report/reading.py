"""From the folder of a run to `RunFacts`: every value is checked, and a damaged file is named."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from g2l.config import FITNESS_METRICS, BackboneConfig
from g2l.errors import InputError, brief
from g2l.figures.results import HoldoutCurve
from g2l.metrics.comparison import Comparison
from g2l.metrics.scores import VideoScores, metric_value
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
)
from g2l.report.checks import (
    MOST_FRAMES,
    MOST_LAYERS,
    MOST_STAGES,
    Json,
    as_list,
    as_metrics,
    as_object,
    as_structure,
    build,
    optional,
    percent,
    real,
    whole,
)
from g2l.report.facts import (
    HAND_DESIGNED,
    ClassScores,
    PredictionFacts,
    RunFacts,
    SeedFacts,
    TrainingFacts,
    VideoFacts,
)
from g2l.report.searches import STRUCTURE, read_context, read_global_search, read_local_search

SUMMARY = "summary.json"
EVALUATION, SEGMENTS = "evaluation.json", "segments.csv"
WANTED = (
    *(RUN, STATUS, RESULT, DATASET, FOLDS, EPOCHS, JOURNAL, UPDATES),
    *(STRUCTURE, SUMMARY, EVALUATION, SEGMENTS),
)
"""Everything that a report reads of a run, by name of the file."""

_ORIGINS = {"winner": "searched"}
"""Names of trainings outside of a pipeline."""


def read_runs(folders: Mapping[str, Path]) -> tuple[RunFacts, ...]:
    """Read runs that are compared in one report; a run of several folds is followed by its folds.

    Args:
        folders: Folder of each run by what was asked for: a path or a run id.

    Raises:
        InputError: A folder is not that of a run, or a file in it is damaged.
    """
    runs = []
    for source, folder in folders.items():
        runs.append(read_run(folder, source))
        runs += [read_run(folder / name, f"{source}/{name}") for name in _folds(folder)]
    times = Counter(run.label for run in runs)
    return tuple(
        run if times[run.label] == 1 else replace(run, label=f"{run.label} ({Path(run.source).name})")
        for run in runs
    )


def read_run(folder: Path, source: str | None = None) -> RunFacts:
    """Read one run, finished or not.

    Args:
        folder: Output folder of a command.
        source: What was asked for, where that is not the folder.

    Raises:
        InputError: It is not such a folder, or a file in it is damaged.
    """
    folds = FoldsRecord.read(folder)
    stages = _stages(folder)
    stages = {
        path: stage for path, stage in stages.items() if path.name not in (folds.train if folds else ())
    }
    record = stages.get(folder)
    if not stages:
        raise InputError(
            f"{source or folder}: expected the output folder of a run, but it holds neither {RUN} nor "
            f"{SEGMENTS}.",
            hint="give the folder that search-global, search-local, train, pipeline or predict wrote to.",
        )
    kind = RunKind.PREDICT if record is None else record.kind
    searches = [read_global_search(path, one) for path, one in _of_kind(stages, RunKind.SEARCH_GLOBAL)]
    local = [read_local_search(path, one) for path, one in _of_kind(stages, RunKind.SEARCH_LOCAL)]
    contexts = [read_context(path) for path, _ in _of_kind(stages, RunKind.CONTEXT)]
    run = RunFacts(
        label=folder.name,
        source=str(folder) if source is None else source,
        kind=kind.value,
        settings={} if record is None else record.settings,
        data=_data(stages),
        search=searches[0] if searches else None,
        local=local[0] if local else None,
        trainings=_trainings(stages),
        differences=_differences(stages),
        curves=_curves(stages),
        context=contexts[0] if contexts else None,
        **(_contest(folder) if folds is None else {"reason": _of_folds(folder, folds)}),
        predictions=_predictions(stages),
        unfinished=_unfinished(folder, kind),
    )
    if record is None:
        return run
    with named(folder / RUN):
        run = _with_settings(run, record.environment or {})
    return run if run.dataset is None else replace(run, label=f"{run.kind} of {run.subject}")


def _with_settings(run: RunFacts, environment: Json) -> RunFacts:
    """Return the run with what its settings and its environment hold."""
    settings = run.settings
    data = as_object(settings.get("data") or {}, "data")
    fps, split = data.get("fps"), data.get("split")
    chosen = None if run.data is None else run.data.sample_rate  # where the settings leave it to the data
    rate = data.get("sample_rate") or chosen or 1
    fps = run.data.fps if fps is None and run.data is not None else fps
    endings = (as_object(settings.get(name) or {}, name) for name in ("local_search", "branching", "search"))
    given = settings.get("structure") if run.kind == RunKind.PREDICT else None
    versions = {
        name: str(found) for name, found in as_object(environment.get("versions", {}), "versions").items()
    }
    commit = environment.get("commit")
    return replace(
        run,
        command=tuple(map(str, as_list(environment.get("command", []), "command"))),
        versions=versions | ({"commit": str(commit)} if commit else {}),
        dataset=None if data.get("dataset") is None else str(data["dataset"]),
        split=None if split is None else str(split),
        fps=None if fps is None else real(fps, "fps", 1e-6, 1e6),
        sample_rate=whole(rate, "sample_rate", 1),
        ending=next((str(found["ending"]) for found in endings if "ending" in found), "single"),
        given=None if not given else as_structure(given),
        backbone=_backbone(settings.get("backbone")),
    )


def _unfinished(folder: Path, kind: RunKind) -> str | None:
    status = StatusRecord.read(folder)
    if status is not None and status.status in (RunStatus.FAILED, RunStatus.KILLED):
        reason = f" ({status.reason})" if status.reason else ""
        return f"This run was stopped before its end{reason}."
    finished = kind is RunKind.PREDICT if status is None else status.status is RunStatus.FINISHED
    if finished or (folder / RESULT).is_file():
        return None
    return "This run has not finished: the report shows what it has so far."


def _stages(folder: Path) -> dict[Path, RunRecord | None]:
    """Return the folders that hold a stage with their records: this one, and those just below it.

    Predictions of 0.1.0 outside a run have no record.
    """
    below = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found: dict[Path, RunRecord | None] = {}
    for path in (folder, *below):
        if (path / RUN).exists():
            found[path] = RunRecord.read(path)
        elif (path / SEGMENTS).is_file() or (path / EVALUATION).is_file():
            found[path] = None
    return found


def _of_kind(stages: Mapping[Path, RunRecord | None], kind: RunKind) -> list[tuple[Path, RunRecord]]:
    return [(path, record) for path, record in stages.items() if record is not None and record.kind is kind]


def _data(stages: Mapping[Path, RunRecord | None]) -> DatasetRecord | None:
    """Return the facts of the data, of a stage that holds something out where there is one."""
    known = []
    for path in stages:
        facts = DatasetRecord.read(path)
        if facts is None:
            continue
        with named(path / DATASET):
            for partition, videos in facts.frames.items():
                for count in as_object(videos, f"frames.{partition}").values():
                    whole(count, f"frames.{partition}")
            for name, counts in facts.class_frames.items():
                for partition in facts.frames:
                    whole(as_object(counts, f"class_frames.{name}").get(partition, 0), f"class_frames.{name}")
            fps = None if facts.fps is None else real(facts.fps, "fps", 1e-6, 1e6)
            whole(facts.sample_rate, "sample_rate", 1)
            notices = [str(notice) for notice in as_list(facts.notices, "notices")]
        known.append(replace(facts, fps=fps, notices=notices))
    return next((facts for facts in known if facts.frames.get("holdout")), known[0] if known else None)


def _contest(folder: Path) -> dict[str, Any]:
    """Return what a pipeline exported, and why."""
    with named(folder / SUMMARY):
        found = as_object(optional(folder / SUMMARY).get("contest") or {}, "contest")
        return {name: str(found.get(name, "")) for name in ("shipped", "reason")}


def _folds(folder: Path) -> list[str]:
    """Return the folders of the folds of a run that have been started."""
    record = FoldsRecord.read(folder)
    with named(folder / FOLDS):
        names = [] if record is None else [fold_folder(whole(fold, "folds")) for fold in record.folds]
    return [name for name in names if (folder / name / RUN).is_file()]


def _of_folds(folder: Path, record: FoldsRecord) -> str:
    """Return which model each fold of a pipeline exported, and which videos the choices have seen."""
    words = []
    with named(folder / SUMMARY):
        found = as_object(optional(folder / SUMMARY).get("folds") or {}, "folds")
        exported = {fold: as_object(one, fold) for fold, one in found.items()}
    if exported:
        models = [f"fold {fold} {one.get('shipped')} ({one.get('model')})" for fold, one in exported.items()]
        words.append(f"Each fold exports its own model: {', '.join(models)}.")
    if record.search is not None:
        videos = {name for side in (record.train, record.test) for names in side.values() for name in names}
        words.append(
            f"One search for all folds has seen {len(record.search)} of {len(videos)} videos, those that "
            f"every fold trains on and none tests on: {', '.join(map(str, record.search))}."
        )
    choices = "Choices" if record.search is None else "Other choices"
    return " ".join(
        (*words, f"{choices} of this run within a fold use its train videos only ({FOLDS} lists them).")
    )


def _differences(stages: Mapping[Path, RunRecord | None]) -> dict[str, Comparison]:
    """Return the comparison at the end of a pipeline, or of a global search by itself."""
    for path in stages:
        for file, key in ((SUMMARY, "difference"), (RESULT, "differences")):
            with named(path / file):
                found = as_object(optional(path / file).get(key) or {}, key)
                if found:
                    return {
                        metric: Comparison.from_dict(as_object(one, key)) for metric, one in found.items()
                    }
    return {}


def _trainings(stages: Mapping[Path, RunRecord | None]) -> tuple[TrainingFacts, ...]:
    found = []
    for folder, record in _of_kind(stages, RunKind.TRAIN):
        with named(folder / RUN):
            seeds = [whole(seed, "seeds") for seed in as_list(record.settings["seeds"], "seeds")]
        found.append(_training(folder, record, [folder / f"seed-{seed}" for seed in seeds]))
    if not found:  # otherwise they are the seeds of a training
        found = [_training(folder, record, [folder]) for folder, record in _of_kind(stages, RunKind.SEED)]
    return tuple(sorted(found, key=lambda training: training.origin != HAND_DESIGNED))


def _training(folder: Path, record: RunRecord, folders: Sequence[Path]) -> TrainingFacts:
    with named(folder / RUN):
        origin, structure = str(record.settings["origin"]), as_structure(record.settings["structure"])
    return TrainingFacts(_ORIGINS.get(origin, origin), structure, tuple(_seeds(folders)))


def _seeds(folders: Sequence[Path]) -> Iterator[SeedFacts]:
    for folder in folders:
        result = optional(folder / RESULT)
        if not result or not (folder / RUN).exists():
            continue
        record = RunRecord.read(folder)
        with named(folder / RUN):
            seed = whole(record.settings["seed"], "seed")
        with named(folder / RESULT):
            videos = as_object(result.get("test_videos", {}), "test_videos")
            yield SeedFacts(
                seed,
                as_metrics(result["test"], "test"),
                whole(result["steps"], "steps"),
                {name: VideoScores.from_dict(as_object(one, name)) for name, one in videos.items()},
            )


def _curves(stages: Mapping[Path, RunRecord | None]) -> dict[str, HoldoutCurve]:
    """Return the mean hold-out curve of what was trained, by its name."""
    found = {}
    for kind, below in ((RunKind.SELECT, "holdout-*"), (RunKind.TRAIN, "seed-*"), (RunKind.SEED, "")):
        for folder, record in _of_kind(stages, kind):
            with named(folder / RUN):
                monitor = as_object(record.settings["recipe"], "recipe")["monitor"]
                if monitor not in FITNESS_METRICS:
                    raise ValueError(f"expected `monitor` to be a metric, found {brief(repr(monitor))}")
                origin = str(record.settings["origin"])
            curves = [_curve(path, monitor) for path in (sorted(folder.glob(below)) if below else [folder])]
            if origin not in found and any(curves):
                found[origin] = HoldoutCurve.of([curve for curve in curves if curve])
    return found


def _curve(folder: Path, monitor: str) -> list[float]:
    epochs = read_epochs(folder)
    with named(folder / EPOCHS):
        return [percent(metric_value(one.metrics, monitor), monitor) for one in epochs if one.metrics]


def _predictions(stages: Mapping[Path, RunRecord | None]) -> PredictionFacts | None:
    for path in stages:
        if (path / EVALUATION).is_file():
            value = optional(path / EVALUATION)
            with named(path / EVALUATION):
                return _evaluated(value)
        if (path / SEGMENTS).is_file():
            return _from_segments(path / SEGMENTS)
    return None


def _evaluated(value: Json) -> PredictionFacts:
    classes = tuple(map(str, as_list(value["classes"], "classes")))
    rows = as_object(as_object(value["per_class"], "per_class")["classes"], "classes")
    metrics = {
        name: one for name, one in as_object(value["metrics"], "metrics").items() if name != "unsmoothed"
    }
    confusion = tuple(
        tuple(whole(cell, "confusion") for cell in as_list(row, "confusion"))
        for row in as_list(value["confusion"], "confusion")
    )
    if any(len(row) != len(classes) for row in (confusion, *confusion)):
        raise ValueError(f"expected `confusion` to have {len(classes)} rows and columns")
    return PredictionFacts(
        classes=classes,
        background=tuple(map(str, as_list(value["background"], "background"))),
        videos=tuple(
            _video(name, as_object(one, name), len(classes))
            for name, one in sorted(as_object(value["videos"], "videos").items())
        ),
        metrics=as_metrics(metrics, "metrics"),
        per_class={name: _class_scores(as_object(row, name)) for name, row in rows.items()},
        confusion=confusion,
    )


def _class_scores(row: Json) -> ClassScores:
    return build(ClassScores, {**row, "f1": row["f1-score"], "support": int(row["support"])})


def _video(name: str, value: Json, classes: int) -> VideoFacts:
    metrics = as_object(value["metrics"], "metrics")
    known = {key: one for key, one in metrics.items() if one is not None}
    undefined: dict[str, float | None] = dict.fromkeys(key for key in metrics if key not in known)
    return VideoFacts(
        name,
        {**as_metrics(known, "metrics"), **undefined},
        _strip(value["prediction"], "prediction", classes),
        _strip(value["truth"], "truth", classes),
    )


def _strip(value: Any, what: str, classes: int) -> tuple[tuple[int, int], ...]:
    """Return the segments of a video as (class index, end), ends rising."""
    found = tuple(
        (whole(label, what, 0, classes - 1), whole(end, what, 1, MOST_FRAMES))
        for label, end in (as_list(segment, what) for segment in as_list(value, what))
    )
    if not found or any(later[1] <= earlier[1] for earlier, later in itertools.pairwise(found)):
        raise ValueError(f"expected the ends of `{what}` to rise")
    return found


def _from_segments(path: Path) -> PredictionFacts:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table ({brief(error)}).") from None
    with named(path):
        classes = sorted({str(row["label"]) for row in rows})
        place = {name: number for number, name in enumerate(classes)}
        videos: dict[str, list[tuple[int, int]]] = {}
        for row in rows:
            segment = (place[str(row["label"])], int(row["end_frame"]))
            videos.setdefault(str(row["video"]), []).append(segment)
        return PredictionFacts(
            classes=tuple(classes),
            background=(),
            videos=tuple(
                VideoFacts(name, {}, _strip(ends, "end_frame", len(classes)), None)
                for name, ends in sorted(videos.items())
            ),
        )


def _backbone(value: Any) -> BackboneConfig | None:
    if value is None:
        return None
    backbone = BackboneConfig(**as_object(value, "backbone")).validate()
    whole(backbone.stages, "stages", 1, MOST_STAGES)
    for layers in (backbone.layers, backbone.prediction_layers or 1):
        whole(layers, "layers", 1, MOST_LAYERS)
    backbone.topology.receptive_field(backbone.hand_designed())  # what cannot be computed is reported here
    return backbone
