"""From the folder of a run to `RunFacts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from g2l.config import BackboneConfig
from g2l.errors import InputError
from g2l.metrics.comparison import Comparison
from g2l.report.files import (
    DATA,
    EVALUATION,
    RECORD,
    RESULT,
    SEGMENTS,
    SUMMARY,
    as_structure,
    optional,
    reading,
)
from g2l.report.model import RunFacts
from g2l.report.read_predictions import read_predictions
from g2l.report.read_searches import read_global, read_local
from g2l.report.stage_facts import GlobalFacts, LocalFacts, SeedFacts, TrainingFacts

_ORIGINS = {"winner": "searched"}
"""What trainings are called elsewhere than in a pipeline."""


def read_runs(folders: Mapping[str, Path]) -> tuple[RunFacts, ...]:
    """Read runs that are compared in one report.

    Args:
        folders: Folder of each run by what was asked for: a path or a run id.

    Raises:
        InputError: A folder is none of a run, or a file in it is damaged.
    """
    runs = [read_run(folder, source) for source, folder in folders.items()]
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
    record = optional(folder / RECORD)
    stages = _stages(folder)
    if not record and not stages:
        raise InputError(
            f"{source or folder}: expected the output folder of a run, but it holds neither {RECORD} nor "
            f"{SEGMENTS}.",
            hint="give the folder that search-global, search-local, train, pipeline or predict wrote to.",
        )
    with reading(folder / RECORD):
        settings = dict(record.get("settings", {}))
        kind = str(record.get("kind", "predict"))
        trainings = _trainings(stages)
        search, local = _searches(stages)
        run = RunFacts(
            label="",
            source=str(folder) if source is None else source,
            kind=kind,
            settings=settings,
            environment=dict(record.get("environment", {})),
            backbone=_backbone(settings.get("backbone")),
            data=_data(stages),
            search=search,
            local=local,
            trainings=trainings,
            differences=_differences(folder, search),
            predictions=_predictions(stages),
            finished=(folder / RESULT).is_file() or kind == "predict",
        )
        subject = settings.get("data", {}).get("dataset")
        return replace(run, label=f"{kind} of {run.subject}" if subject else folder.name)


def _stages(folder: Path) -> dict[Path, dict[str, Any]]:
    """Return the folders that hold a stage with their records: this one, and those just below it."""
    below = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    found = {}
    for path in (folder, *below):
        record = optional(path / RECORD)
        if not record and ((path / SEGMENTS).is_file() or (path / EVALUATION).is_file()):
            record = {"kind": "predict"}
        if record:
            found[path] = record
    return found


def _of_kind(stages: Mapping[Path, Mapping[str, Any]], kind: str) -> list[Path]:
    return [path for path, record in stages.items() if record.get("kind") == kind]


def _searches(stages: Mapping[Path, Mapping[str, Any]]) -> tuple[GlobalFacts | None, LocalFacts | None]:
    globally, locally = _of_kind(stages, "search-global"), _of_kind(stages, "search-local")
    return (
        read_global(globally[0], stages[globally[0]]) if globally else None,
        read_local(locally[0], stages[locally[0]]) if locally else None,
    )


def _backbone(value: Mapping[str, Any] | None) -> BackboneConfig | None:
    return None if value is None else BackboneConfig(**value).validate()


def _data(stages: Mapping[Path, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the facts of the data, of a stage that holds something out where there is one."""
    known: list[dict[str, Any]] = []
    for path in stages:
        facts = optional(path / DATA)
        with reading(path / DATA):
            if facts and facts["frames"]["holdout"]:
                return facts
        known += [facts] if facts else []
    return known[0] if known else {}


def _differences(folder: Path, search: GlobalFacts | None) -> dict[str, Comparison]:
    """Return the comparison at the end of a pipeline, or of a global search by itself."""
    found = optional(folder / SUMMARY).get("difference", {}) or (
        search.result.get("differences", {}) if search is not None else {}
    )
    with reading(folder / SUMMARY):
        return {metric: Comparison.from_dict(one) for metric, one in found.items()}


def _trainings(stages: Mapping[Path, Mapping[str, Any]]) -> tuple[TrainingFacts, ...]:
    found = [_training(path, stages[path]) for path in _of_kind(stages, "train")]
    if not found:  # otherwise they are the seeds of a training
        found = [_one_seed(path, stages[path]) for path in _of_kind(stages, "seed")]
    return tuple(sorted(found, key=lambda training: training.origin != "hand-designed"))


def _training(folder: Path, record: Mapping[str, Any]) -> TrainingFacts:
    with reading(folder / RECORD):
        origin, structure = str(record["settings"]["origin"]), as_structure(record["settings"]["structure"])
        folders = [folder / f"seed-{seed}" for seed in record["settings"]["seeds"]]
    return TrainingFacts(_ORIGINS.get(origin, origin), structure, tuple(_seeds(folders)))


def _one_seed(folder: Path, record: Mapping[str, Any]) -> TrainingFacts:
    """Return the training of a folder that holds one seed, asked for by itself."""
    with reading(folder / RECORD):
        settings = record["settings"]
        origin, structure = str(settings["origin"]), as_structure(settings["structure"])
    return TrainingFacts(_ORIGINS.get(origin, origin), structure, tuple(_seeds([folder])))


def _seeds(folders: Sequence[Path]) -> list[SeedFacts]:
    found = []
    for folder in folders:
        record, result = optional(folder / RECORD), optional(folder / RESULT)
        if record and result:
            with reading(folder / RESULT):
                seed = int(record["settings"]["seed"])
                found.append(SeedFacts(seed, result["test"], result["holdout"], int(result["steps"])))
    return found


def _predictions(stages: Mapping[Path, Mapping[str, Any]]) -> Any:
    folders = [path for path in stages if (path / SEGMENTS).is_file() or (path / EVALUATION).is_file()]
    return read_predictions(folders[0]) if folders else None
