"""A small folder of a run, written as the stages write theirs, and what MLflow holds of it."""

from __future__ import annotations

import json
from pathlib import Path

from g2l.config import BackboneConfig
from g2l.files import append_line
from g2l.models.metadata import ModelMetadata
from g2l.records import (
    EPOCHS,
    JOURNAL,
    UPDATES,
    DatasetRecord,
    EpochRecord,
    LayerUpdate,
    LineLog,
    LocalSearchUpdate,
    RunKind,
    RunRecord,
    RunStatus,
    StatusRecord,
    write_result,
    write_table,
)
from g2l.structure import DilationStructure
from g2l.tracking.environment import environment

START = 1_700_000_000_000

METADATA = ModelMetadata(
    structure=DilationStructure(((1,),)),
    backbone=BackboneConfig(stages=1, layers=1),
    classes=("background", "cut", "pour"),
    feature_dim=4,
    sample_rate=2,
)
"""Of the model that is logged."""


def open_stage(folder: Path, kind: RunKind, settings: dict[str, object], *, root: bool = False) -> None:
    record = RunRecord(
        kind=kind,
        name=folder.name,
        settings=settings,
        started_at=START,
        environment=environment() if root else None,
    )
    record.write(folder)
    StatusRecord(status=RunStatus.RUNNING, at=START).write(folder)


def close_stage(folder: Path, status: RunStatus = RunStatus.FINISHED, reason: str | None = None) -> None:
    StatusRecord(status=status, reason=reason, at=START + 90_000).write(folder)


def evaluation(rate: int, *, amount: int = 10, failed: bool = False) -> dict[str, object]:
    return {
        "structure": [[1, rate]],
        "budget": {"amount": amount, "unit": "steps"},
        "seed": 0,
        "metrics": {} if failed else {"accuracy": 50.0 + rate, **{f"f1@{k}": 40.0 for k in (10, 25, 50)}},
        "seconds": 2.0,
        "status": "failed" if failed else "done",
        "reason": "diverged" if failed else None,
        "checkpoint": None,
    }


def write_journal(path: Path, rates: int) -> None:
    """Candidates of a search: one of two budgets, one that failed, one that was given up."""
    append_line(path, {"event": "header", "settings": {"full_steps": 100}})
    lines = [(evaluation(rate), False) for rate in range(2, 2 + rates)]
    lines += [(evaluation(2, amount=20), False), (evaluation(40, failed=True), False), (evaluation(41), True)]
    for number, (found, provisional) in enumerate(lines):
        facts = {"origin": "random", "phase": "search", "generation": 0, "cached": False}
        at = START + 6000 * number
        line = {"event": "evaluation", **facts, "provisional": provisional, "at": at, "evaluation": found}
        append_line(path, line)
    members = [{"structure": [[1, 2]], "fitness": 40.0, "origin": "random", "order": 0}]
    summary = {"generation": 0, "best": 40.0, "mean": 40.0, "median": 40.0, "diversity": 0.0}
    counts = {
        "evaluations": rates,
        "cache_hits": 0,
        "failures": 1,
        "population": members,
        "at": START + 60_000,
    }
    append_line(path, {"event": "generation", **summary, **counts})


def write_training(folder: Path, epochs: int = 3) -> None:
    open_stage(folder, RunKind.TRAIN, {"seeds": [0], "structure": [[1, 2]]})
    seed = folder / "seed-0"
    open_stage(seed, RunKind.SEED, {"seed": 0})
    DatasetRecord(
        name="tiny", split=1, fingerprint="abc", feature_dim=4, sample_rate=1, fps=None, background=[],
        frames={"train": {"a": 7}, "test": {"b": 7}}, class_frames={},
    ).write(seed)  # fmt: skip
    log = LineLog(seed / EPOCHS, EpochRecord)
    for epoch in range(1, epochs + 1):
        metrics = {"f1@10": 50.0 + epoch}
        log.append(EpochRecord(epoch, 2 * epoch, 1 / epoch, 1e-3, metrics, 1.0, at=START + epoch))
    (seed / "model.safetensors").write_bytes(b"weights")
    (seed / "last.ckpt").write_bytes(b"state")
    write_result(
        seed,
        {},
        ["model.safetensors"],
        metrics={"test/accuracy": 80.0, "holdout/f1@10": 50.0 + epochs},
        step=epochs,
    )
    close_stage(seed)
    write_result(folder, {}, metrics={"test/accuracy": 80.0}, tags={"g2l.winner": "searched"})
    close_stage(folder)


def write_run(folder: Path, *, candidates: int = 3) -> Path:
    """Write a pipeline with a global search, a local search and a training, as far as MLflow is concerned."""
    open_stage(folder, RunKind.PIPELINE, {"data": {"dataset": "tiny"}, "seeds": 1}, root=True)
    search = folder / "search-global"
    backbone = {"name": "ms-tcn", "stages": 1, "layers": 2}
    open_stage(search, RunKind.SEARCH_GLOBAL, {"backbone": backbone, "search": {"fitness": "f1"}})
    write_journal(search / JOURNAL, candidates)
    write_table(search, "race", {"rank": [1]})
    write_result(search, {}, metrics={"fitness": 40.0})
    close_stage(search)
    local = folder / "search-local"
    open_stage(local, RunKind.SEARCH_LOCAL, {"search": {"interval": 2}})
    layer = LayerUpdate(
        rate_before=2, branches=(1, 2, 3), weights=(0.2, 0.5, 0.3), expectation=2.1, rate_after=2
    )
    update = LocalSearchUpdate(number=1, step=2, epoch=1, layers={"stage1.layers.0": layer}, at=START)
    LineLog(local / UPDATES, LocalSearchUpdate).append(update)
    close_stage(local, RunStatus.FAILED, "the loss diverged")
    write_training(folder / "train")
    close_stage(folder)
    return folder


def held(client, experiment: str = "g2l") -> dict[str, object]:
    """What MLflow holds of every run, by name, without what differs between two recordings of the same."""
    found = client.get_experiment_by_name(experiment)
    runs = [] if found is None else client.search_runs([found.experiment_id], max_results=1000)
    names = {run.info.run_id: run.info.run_name for run in runs}
    content = {}
    for run in runs:
        tags = dict(run.data.tags)
        parent = tags.pop("mlflow.parentRunId", None)
        history = {
            name: [(m.step, m.timestamp, m.value) for m in client.get_metric_history(run.info.run_id, name)]
            for name in run.data.metrics
        }
        files = sorted(artifacts(client, run.info.run_id))
        inputs = sorted(one.dataset.name for one in run.inputs.dataset_inputs)
        times = (run.info.status, run.info.start_time, run.info.end_time)
        assert run.info.run_name not in content, "recorded twice"
        content[run.info.run_name] = (
            names.get(parent), times, run.data.params, tags, history, files, inputs,
        )  # fmt: skip
    return content


def artifacts(client, run_id: str, folder: str | None = None) -> list[str]:
    found = []
    for item in client.list_artifacts(run_id, folder):
        found += artifacts(client, run_id, item.path) if item.is_dir else [item.path]
    return found


def read_json_artifact(client, run_id: str, name: str, folder: Path) -> object:
    return json.loads(Path(client.download_artifacts(run_id, name, str(folder))).read_text())
