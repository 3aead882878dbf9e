from __future__ import annotations

import subprocess
import sys

from tracked_runs import environment, files, root, runs

from g2l.tracking.mlflow_tracker import MlflowTracker
from g2l.tracking.protocol import RunKind


def test_what_mlflow_refuses_is_told_once_and_the_rest_is_kept(tracker, client, caplog):
    run = root(tracker)
    run.log_params({"a": 1})
    assert run.run_id
    run.log_params({"a": 2, "b": 3})
    run.set_tags({"": "no name", "good": "tag"})
    run.finish()
    assert tracker.close() is None
    data = client.get_run(run.run_id).data
    assert (data.params, data.tags["good"]) == ({"a": "1", "b": "3"}, "tag")
    assert [record.message.split(",")[0] for record in caplog.records] == [
        "MLflow refuses `a`",
        "MLflow refuses ``",
    ]


def test_recording_never_raises(tracker, client, workdir, caplog, onnx_file):
    run = root(tracker)
    run.log_artifact(workdir / "missing")
    run.log_metrics({"a": "many"})
    run.log_table({"a": [1], "b": []}, "t.json")
    run.log_onnx_model(onnx_file, input_example=[1.0])
    run.log_figure(None, "f.png")
    run.log_params({"fine": 1})
    run.finish()
    assert tracker.close() is None
    assert client.get_run(run.run_id).data.params == {"fine": "1"}
    assert [record.message.split("`")[1] for record in caplog.records] == [
        "log_artifact",
        "log_metrics",
        "log_table",
        "log_onnx_model",
        "log_figure",
    ]


def test_a_deleted_experiment_costs_one_warning(workdir, client, caplog):
    client.delete_experiment(client.create_experiment("g2l"))
    tracker = MlflowTracker(workdir / "spool")
    run = root(tracker)
    child = run.child(name="child", kind=RunKind.TRAIN)
    child.log_metrics({"a": 1})
    assert run.run_id is None
    run.finish()
    assert tracker.close() is None
    assert len(caplog.records) == 1
    assert "MLflow refuses open 'root'" in caplog.text


def test_closing_ends_what_was_left_open(workdir, client):
    tracker = MlflowTracker(workdir / "spool")
    root(tracker).child(name="child", kind=RunKind.TRAIN)
    tracker.close()
    assert {one.info.status for one in runs(client)} == {"KILLED"}
    assert all(one.data.tags["g2l.reason"] == "the process ended before the run did" for one in runs(client))


def test_sending_twice_changes_nothing(workdir, client):
    tracker = MlflowTracker(workdir / "spool")
    run = root(tracker)
    run.child(name="child", kind=RunKind.TRAIN).finish()
    run.log_params({"a": 1})
    run.log_metrics({"loss": 1.0, "bad": float("nan")}, step=1)
    run.log_table({"a": [1]}, "t.json")
    assert run.run_id
    spool = tracker._spool.path
    content = spool.read_bytes()
    tracker.close()
    before = [(one.info.run_id, one.data.params, one.data.tags) for one in runs(client)]
    spool.write_bytes(content)  # as if killed before anything was acknowledged
    assert MlflowTracker(workdir / "spool").close() is None
    assert [(one.info.run_id, one.data.params, one.data.tags) for one in runs(client)] == before
    assert len(client.get_metric_history(run.run_id, "loss")) == 1


KILLED = """
import os, signal
from pathlib import Path
from g2l.tracking.mlflow_tracker import MlflowTracker
from g2l.tracking.protocol import RunKind
run = MlflowTracker(Path("spool")).start(name="root", kind=RunKind.PIPELINE)
child = run.child(name="child", kind=RunKind.TRAIN)
child.log_metrics({"f1@10": 7.0})
Path("model.bin").write_bytes(b"weights")
child.log_artifact(Path("model.bin"))
Path("model.bin").unlink()
child.finish()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_recorded_is_sent_by_the_next(workdir, client):
    subprocess.run([sys.executable, "-c", KILLED], cwd=workdir, env=environment(), check=False)
    assert any((workdir / "spool").iterdir())
    assert MlflowTracker(workdir / "spool").close() is None
    found = {one.info.run_name: one for one in runs(client)}
    assert {name: one.info.status for name, one in found.items()} == {"root": "KILLED", "child": "FINISHED"}
    assert found["child"].data.metrics == {"f1_at_10": 7.0}
    assert files(client, found["child"].info.run_id) == {"model.bin"}
    assert list((workdir / "spool").iterdir()) == []
