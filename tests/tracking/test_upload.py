"""Sending the folder of a run to a store: all of it, once, whatever the store answers meanwhile."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from generated_run import (
    artifacts,
    held,
    open_stage,
    read_json_artifact,
    write_run,
)

from g2l.errors import InputError
from g2l.records import METRICS, RUN, LineLog, MetricsRecord, RunKind, RunRecord, RunStatus, StatusRecord
from g2l.tracking.environment import target
from g2l.tracking.store import StoreUnavailableError
from g2l.tracking.upload import SCHEMA, TRACKING, Uploader, read_tracking


@pytest.fixture
def folder(workdir):
    return write_run(workdir / "run")


def send(folder, *, over=True, uri=None):
    goal = target() if uri is None else target().__class__(uri)
    return Uploader(folder, goal).step(over=over)


def one(client, name):
    runs = client.search_runs([client.get_experiment_by_name("g2l").experiment_id])
    (found,) = [run for run in runs if run.info.run_name == name]
    return found


def test_all_that_a_folder_holds_arrives(folder, client, tmp_path):
    assert send(folder)
    content = held(client)
    assert len(content) == 10
    parent, (status, *_), params, _, history, files, inputs = content["seed-0"]
    assert (parent, status, params) == ("train", "FINISHED", {"seed": "0"})
    assert [value for _, _, value in history["holdout/f1_at_10"]] == [51.0, 52.0, 53.0]
    records = ["dataset.json", "epochs.jsonl", "last.ckpt", "model.safetensors", "result.json", "run.json"]
    assert files == records
    assert inputs == ["tiny split 1 test", "tiny split 1 train"]
    assert content["candidate 1,41"][1][0] == "KILLED"
    assert json.loads(content["search-global"][3]["mlflow.loggedArtifacts"]) == [
        {"path": name, "type": "table"} for name in ("race.json", "population/generation-000.json")
    ]
    run_id = one(client, "candidate 1,2").info.run_id
    assert read_json_artifact(client, run_id, "structure.json", tmp_path) == [[1, 2]]


def test_what_is_sent_twice_is_there_once(folder, client):
    assert send(folder)
    before = held(client)
    assert send(folder)
    (folder / TRACKING).unlink()
    assert send(folder)
    assert held(client) == before


def test_a_growing_run_is_sent_as_it_grows(folder, client):
    shutil.rmtree(folder)
    open_stage(folder, RunKind.SEED, {"seed": 0}, root=True)
    uploader = Uploader(folder, target())
    log = LineLog(folder / METRICS, MetricsRecord)
    checkpoint = folder / "last.ckpt"
    for step in (1, 2):
        log.append(MetricsRecord(step=step, metrics={"loss": float(step)}))
        checkpoint.write_bytes(bytes(step))
        assert not uploader.step(over=False)
        run = one(client, "run")
        assert (run.info.status, run.data.metrics) == ("RUNNING", {"loss": float(step)})
        assert artifacts(client, run.info.run_id) == ["run.json"]
    checkpoint.write_bytes(b"123")
    for status in (RunStatus.FAILED, RunStatus.RUNNING, RunStatus.FINISHED):  # it is resumed
        if status is RunStatus.RUNNING:  # somebody has removed the tag already
            client.delete_tag(run.info.run_id, "g2l.reason")
            StatusRecord(status=status, reason=None).write(folder)
            with pytest.raises(StoreUnavailableError, match=r"g2l\.reason"):
                uploader.step(over=False)
        StatusRecord(status=status, reason="disk" if status is RunStatus.FAILED else None).write(folder)
        assert uploader.step(over=False) is (status is not RunStatus.RUNNING)
        run = one(client, "run")
        assert run.info.status == status.value
        assert run.data.tags.get("g2l.reason") == ("disk" if status is RunStatus.FAILED else None)
    assert {item.path: item.file_size for item in client.list_artifacts(run.info.run_id)}["last.ckpt"] == 3


def test_the_run_that_mlflow_run_made_is_joined(workdir, client, monkeypatch):
    experiment = client.create_experiment("mine")
    given = client.create_run(experiment, tags={"mlflow.source.type": "PROJECT"})
    client.log_param(given.info.run_id, "seeds", "a file")
    monkeypatch.setenv("MLFLOW_RUN_ID", given.info.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    folder = write_run(workdir / "run")
    assert Uploader(folder, target(joins=True)).step(over=True)
    monkeypatch.delenv("MLFLOW_RUN_ID")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    (folder / TRACKING).unlink()
    assert Uploader(folder, target(RunRecord.read(folder).environment)).step(over=True)  # by `g2l sync`
    roots = [r for r in client.search_runs([experiment]) if "mlflow.parentRunId" not in r.data.tags]
    assert [run.info.run_id for run in roots] == [given.info.run_id]
    data = client.get_run(given.info.run_id).data
    assert (data.params["seeds"], data.params["resolved.seeds"]) == ("a file", "1")
    assert (data.tags["mlflow.source.type"], data.tags["g2l.kind"]) == ("PROJECT", "pipeline")
    assert client.get_experiment_by_name("g2l") is None


def test_resuming_under_another_mlflow_run_joins_that_one(folder, client, monkeypatch):
    assert send(folder)
    before = one(client, "run").info.run_id
    given = client.create_run(one(client, "run").info.experiment_id, run_name="again")
    monkeypatch.setenv("MLFLOW_RUN_ID", given.info.run_id)
    assert Uploader(folder, target(joins=True)).step(over=True)
    assert client.get_run(given.info.run_id).data.tags["g2l.resumes"] == before
    assert one(client, "train").data.tags["mlflow.parentRunId"] == given.info.run_id


def test_a_value_that_mlflow_rejects_is_named_and_the_rest_arrives(folder, client, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    log_batch = MlflowClient.log_batch

    def picky(self, run_id, metrics=(), params=(), tags=()):
        if any(metric.key == "test/accuracy" for metric in metrics):
            raise MlflowException.invalid_parameter_value("no accuracy, please")
        return log_batch(self, run_id, metrics=metrics, params=params, tags=tags)

    monkeypatch.setattr(MlflowClient, "log_batch", picky)
    uploader = Uploader(folder, target())
    assert uploader.step(over=True)
    assert uploader.notes == ["MLflow rejects `test/accuracy`, which is left out: no accuracy, please"]
    assert one(client, "seed-0").data.metrics.keys() == {
        "train/loss",
        "train/learning_rate",
        "holdout/f1_at_10",
    }


def test_a_run_that_was_deleted_in_mlflow_is_left_deleted(folder, client):
    assert send(folder)
    client.delete_run(one(client, "search-local").info.run_id)
    StatusRecord(status=RunStatus.KILLED, reason="again").write(folder / "search-local")
    uploader = Uploader(folder, target())
    assert uploader.step(over=True)
    assert "was deleted in MLflow" in uploader.notes[0]
    assert len(held(client)) == 9


def test_a_database_that_was_made_anew_gets_everything(folder, client, workdir, empty_store):
    assert send(folder)
    before = held(client)
    for table in ("latest_metrics", "metrics", "params", "tags", "runs"):
        with closing(sqlite3.connect(workdir / "mlflow.db")) as database, database:
            database.execute(f"DELETE FROM {table}")
    assert send(folder)
    assert held(client) == before


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("log_artifact", OSError(errno.ENOSPC, "No space left on device")),
        ("log_batch", sqlite3.OperationalError("database or disk is full")),
        ("set_terminated", ValueError("what a plugin may raise")),
    ],
)
def test_every_call_may_fail_and_is_made_up_for(folder, client, monkeypatch, call, error):
    from mlflow import MlflowClient

    works, calls = getattr(MlflowClient, call), []

    def fails(*arguments, **options):
        calls.append(call)
        if len(calls) % 2:
            raise error
        return works(*arguments, **options)

    monkeypatch.setattr(MlflowClient, call, fails)
    uploader = Uploader(folder, target())
    with pytest.raises(StoreUnavailableError, match=str(error.args[-1])):
        uploader.step(over=True)
    for _ in range(100):
        try:
            if uploader.step(over=True):
                break
        except StoreUnavailableError:
            continue
    monkeypatch.undo()
    assert len(held(client)) == 10
    assert one(client, "run").info.status == "FINISHED"


def test_an_answer_that_is_lost_makes_no_second_run(folder, client, monkeypatch):
    from mlflow import MlflowClient

    create_run, lost = MlflowClient.create_run, []

    def loses(*arguments, **options):
        made = create_run(*arguments, **options)
        if len(lost) < 4:
            lost.append(made)
            raise ConnectionResetError("connection reset")
        return made

    monkeypatch.setattr(MlflowClient, "create_run", loses)
    uploader = Uploader(folder, target())
    for _ in range(4):
        with pytest.raises(StoreUnavailableError, match="connection reset"):
            uploader.step(over=True)
    assert uploader.step(over=True)
    assert len(held(client)) == 10


@pytest.mark.parametrize("sent", [3, [], {"runs": 3}, {"runs": {"a": 3}}, {"runs": {"a": {"run_id": 3}}}])
def test_a_list_of_what_was_sent_with_values_of_another_kind_is_made_anew(folder, sent):
    value = {"schema": SCHEMA, "stores": {"sqlite:///mlflow.db": sent}}
    (folder / TRACKING).write_text(json.dumps(value))
    assert read_tracking(folder) == {}


def test_a_folder_without_a_readable_run_never_counts_as_recorded(folder, workdir):
    (folder / RUN).write_text("{")
    with pytest.raises(InputError, match=r"run\.json:1: expected JSON"):
        send(folder)
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="run: holds no run"):
        send(folder)
    assert not folder.exists()
