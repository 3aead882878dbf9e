"""What the folder of a run holds: every record comes back as it was written, damage is named."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from g2l.errors import InputError
from g2l.files import append_line
from g2l.records import (
    EPOCHS,
    JOURNAL,
    METRICS,
    RUN,
    UPDATES,
    DatasetRecord,
    EpochRecord,
    LayerUpdate,
    LineLog,
    LocalSearchUpdate,
    MetricsRecord,
    RunKind,
    RunRecord,
    RunStatus,
    StatusRecord,
    read_epochs,
    read_metrics,
    read_result,
    read_updates,
    write_result,
    write_table,
)


def epoch(number: int, loss: float = 0.5) -> EpochRecord:
    return EpochRecord(number, 10 * number, loss, 1e-3, {"f1@10": 50.0}, 1.5)


def update(number: int) -> LocalSearchUpdate:
    layer = LayerUpdate(
        rate_before=2, branches=(1, 2, 3), weights=(0.2, 0.5, 0.3), expectation=2.1, rate_after=2
    )
    return LocalSearchUpdate(number=number, step=20, epoch=2, layers={"stage1.layers.0": layer})


def test_records_come_back_as_they_were_written(tmp_path):
    record = RunRecord(
        kind=RunKind.TRAIN, name="train", settings={"seed": 1}, environment={"command": ["g2l"]}
    )
    record.write(tmp_path)
    status = StatusRecord(status=RunStatus.FAILED, reason="no room")
    status.write(tmp_path)
    data = DatasetRecord(
        name="gtea", split=1, fingerprint="ab", feature_dim=3, sample_rate=1, fps=15.0, background=["bg"],
        frames={"train": {"a": 7}}, class_frames={"bg": {"train": 7}}, source="data/gtea",
    )  # fmt: skip
    data.write(tmp_path)
    assert RunRecord.read(tmp_path) == record
    assert len(record.id) == 32
    assert StatusRecord.read(tmp_path) == status
    assert DatasetRecord.read(tmp_path) == data


def test_a_record_of_the_first_version_is_read(tmp_path):
    value = {"schema": "g2l.run/1", "kind": "train", "settings": {"seed": 0}, "run_id": "f" * 32}
    (tmp_path / RUN).write_text(json.dumps(value))
    record = RunRecord.read(tmp_path)
    assert (record.id, record.mlflow_run_id, record.kind) == ("f" * 32, "f" * 32, RunKind.TRAIN)
    assert StatusRecord.read(tmp_path) is None
    (tmp_path / RUN).write_text(json.dumps(value | {"run_id": None}))
    assert RunRecord.read(tmp_path).id == RunRecord.read(tmp_path).id != "f" * 32


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schema": "g2l.run/9"}, "g2l.run/9"),
        ({"kind": "dance"}, "dance"),
        ({"settings": 3}, "settings"),
        ({"started_at": True}, "started_at"),
        ({"id": None}, "id"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, change, named):
    RunRecord(kind=RunKind.TRAIN, name="train", settings={}).write(tmp_path)
    path = tmp_path / RUN
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=f"run.json.*{named}"):
        RunRecord.read(tmp_path)


def test_lines_are_written_once_and_come_back(tmp_path):
    for _ in range(2):  # the second time as a resumed run
        epochs = LineLog(tmp_path / EPOCHS, EpochRecord)
        epochs.append(epoch(1))
        epochs.append(epoch(2, loss=math.nan))
        updates = LineLog(tmp_path / UPDATES, LocalSearchUpdate)
        updates.append(update(1))
        metrics = LineLog(tmp_path / METRICS, MetricsRecord)
        metrics.append(MetricsRecord(step=3, metrics={"search/best": 60.0}))
    first, second = read_epochs(tmp_path)
    assert first == epoch(1)
    assert math.isnan(second.loss)
    assert replace(second, loss=0.5) == epoch(2)
    assert read_updates(tmp_path) == [update(1)]
    assert read_metrics(tmp_path) == [MetricsRecord(step=3, metrics={"search/best": 60.0})]


def test_updates_of_the_first_version_are_read(tmp_path):
    value = update(1).as_dict()
    del value["at"]
    append_line(tmp_path / JOURNAL, value)
    assert read_updates(tmp_path) == [update(1)]


@pytest.mark.parametrize("torn", ['{"epoch": 2, "st', '{"epoch": 2, "st\n', "\n"])
def test_a_torn_last_line_is_dropped_and_cut_off(tmp_path, torn):
    log = LineLog(tmp_path / EPOCHS, EpochRecord)
    log.append(epoch(1))
    with log.path.open("a") as file:
        file.write(torn)
    assert read_epochs(tmp_path) == [epoch(1)]
    LineLog(tmp_path / EPOCHS, EpochRecord).append(epoch(2))
    assert read_epochs(tmp_path) == [epoch(1), epoch(2)]


@pytest.mark.parametrize("line", ["{", "[]", '{"epoch": 1}', '{"epoch": "one"}'])
def test_any_other_damaged_line_is_named(tmp_path, line):
    path = tmp_path / EPOCHS
    LineLog(path, EpochRecord).append(epoch(1))
    path.write_text(path.read_text() + line + "\n" + path.read_text())
    with pytest.raises(InputError, match=r"epochs.jsonl:2: .*found"):
        read_epochs(tmp_path)


def test_a_stage_is_finished_where_result_and_artifacts_match(tmp_path: Path):
    assert read_result(tmp_path) is None
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"weights")
    write_result(tmp_path, {"steps": 3}, ["model.safetensors"], metrics={"test/accuracy": 80.0}, step=2)
    found = read_result(tmp_path)
    assert found is not None
    assert found["steps"] == 3
    assert found["recorded"]["metrics"] == {"test/accuracy": 80.0}
    for content in (b"weight", b"weighty"):  # truncated, or of the same size but damaged
        model.write_bytes(content)
        assert read_result(tmp_path) is None
    model.unlink()
    assert read_result(tmp_path) is None


def test_a_table_holds_columns_and_rows(tmp_path):
    write_table(tmp_path, "race", {"rank": [1, 2], "mean": [70.0, math.nan]})
    table = json.loads((tmp_path / "tables" / "race.json").read_text())
    assert table == {"columns": ["rank", "mean"], "data": [[1, 70.0], [2, None]]}
