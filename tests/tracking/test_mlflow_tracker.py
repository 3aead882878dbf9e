from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from tracked_runs import environment as process_environment
from tracked_runs import files, root, runs

from g2l.errors import InputError
from g2l.tracking import environment
from g2l.tracking.environment import load_mlflow
from g2l.tracking.mlflow_tracker import MlflowTracker
from g2l.tracking.protocol import NullTracker, RunKind, RunStatus, Tracker


def test_everything_recorded_is_found(tracker, client, workdir, capfd):
    run = root(tracker)
    run.log_params({"recipe": {"epochs": 5, "rates": list(range(4000))}})
    run.set_tags({"note": "n" * 9000})
    for step in range(3):
        run.log_metrics({"f1@10": step, "loss": float("nan")}, step=step)
    run.log_metrics({"top": float("inf")})
    note = workdir / "note.txt"
    note.write_text("first")
    run.log_artifact(note, "notes")
    note.write_text("second")
    run.log_dict({"rates": [[1, 2]]}, "structure.json")
    run.log_dataset(name="gtea", source=workdir, digest="d" * 64, context="train")
    run.finish()
    assert tracker.close() is None
    made = client.get_run(run.run_id)
    assert made.info.status == "FINISHED"
    assert made.info.run_name == "root"
    assert made.data.params["recipe.epochs"] == "5"
    assert len(made.data.params["recipe.rates"]) == 6000
    assert len(made.data.tags["note"]) == 8000
    assert [metric.value for metric in client.get_metric_history(run.run_id, "f1_at_10")] == [0, 1, 2]
    assert math.isnan(made.data.metrics["loss"])
    assert made.data.metrics["top"] > 1e308
    (data,) = made.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest, data.tags[0].value) == ("gtea", "d" * 36, "train")
    assert files(client, run.run_id) == {"notes", "structure.json"}
    kept = client.download_artifacts(run.run_id, "notes/note.txt", str(workdir))
    assert Path(kept).read_text() == "first"
    assert list((workdir / "spool").iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_tables_and_figures_are_shown(tracker, client, workdir):
    from matplotlib.figure import Figure

    run = root(tracker)
    for generation in range(2):
        run.log_table(
            {"structure": ["1 2", "4 8"], "f1": [50.0, float("nan")]}, f"population/{generation}.json"
        )
    run.log_figure(Figure(), "plots/rates.png")
    run.finish()
    tracker.close()
    kept = client.download_artifacts(run.run_id, "population/0.json", str(workdir))
    table = json.loads(Path(kept).read_text())
    assert table == {"columns": ["structure", "f1"], "data": [["1 2", 50.0], ["4 8", None]]}
    listed = json.loads(client.get_run(run.run_id).data.tags["mlflow.loggedArtifacts"])
    assert listed == [{"path": f"population/{index}.json", "type": "table"} for index in range(2)]
    assert {item.path for item in client.list_artifacts(run.run_id, "plots")} == {"plots/rates.png"}
    found = client.get_experiment_by_name("g2l").experiment_id
    # This call of the client searches the store of the process, which another test may have set.
    load_mlflow().set_tracking_uri(client.tracking_uri)
    shown = client.load_table(found, "population/0.json", run_ids=[run.run_id])
    assert list(shown["structure"]) == ["1 2", "4 8"]


def test_children_hang_below_their_parents(tracker, client):
    run = root(tracker)
    search = run.child(name="search", kind=RunKind.SEARCH_GLOBAL)
    good = search.child(name="good", kind=RunKind.CANDIDATE)
    bad = search.child(name="bad", kind=RunKind.CANDIDATE)
    good.finish()
    good.finish(RunStatus.FAILED)
    bad.finish(RunStatus.FAILED, "out of memory")
    search.finish(RunStatus.KILLED, "interrupted")
    run.finish()
    tracker.close()
    tags = {one.info.run_name: one.data.tags for one in runs(client)}
    status = {one.info.run_name: one.info.status for one in runs(client)}
    assert status == {"root": "FINISHED", "search": "KILLED", "good": "FINISHED", "bad": "FAILED"}
    assert "mlflow.parentRunId" not in tags["root"]
    assert tags["search"]["mlflow.parentRunId"] == run.run_id
    assert tags["bad"]["mlflow.parentRunId"] == search.run_id
    assert tags["bad"]["g2l.reason"] == "out of memory"
    assert [tags[name]["g2l.kind"] for name in ("root", "search", "good")] == [
        "pipeline",
        "search-global",
        "candidate",
    ]


def test_root_runs_tell_where_they_come_from(tracker, client, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["g2l", "train", "--dataset", "my data"])
    run = root(tracker)
    run.finish()
    tracker.close()
    tags = client.get_run(run.run_id).data.tags
    assert tags["g2l.command"] == "g2l train --dataset 'my data'"
    assert {"g2l.version.g2l", "g2l.version.torch", "g2l.version.mlflow", "g2l.version.python"} <= set(tags)
    assert {"mlflow.user", "mlflow.source.name", "mlflow.source.type"} <= set(tags)


def test_the_environment_chooses_store_and_experiment(workdir, client, monkeypatch):
    experiment = client.create_experiment("mine")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workdir / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    tracker = MlflowTracker(workdir / "spool")
    root(tracker).finish()
    tracker.close()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ignored")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    tracker = MlflowTracker(workdir / "spool")
    root(tracker).finish()
    tracker.close()
    assert len(runs(client, "mine")) == 2


def test_an_old_file_store_in_the_folder_does_not_matter(workdir, client):
    (workdir / "mlruns" / "0").mkdir(parents=True)
    (workdir / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    tracker = MlflowTracker(workdir / "spool")
    root(tracker).finish()
    assert tracker.close() is None
    assert len(runs(client)) == 1


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns"])
def test_a_file_store_is_refused_at_once(workdir, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match="`MLFLOW_TRACKING_URI` must be a database or a server") as raised:
        MlflowTracker(workdir / "spool")
    assert "sqlite:///mlflow.db" in raised.value.hint


def test_a_password_is_not_shown():
    assert environment.without_password("https://me:secret@host:5000/x") == "https://host:5000/x"
    assert environment.without_password("sqlite:///a@b.db") == "sqlite:///a@b.db"


def test_under_mlflow_run_there_is_one_root_run(workdir, client, monkeypatch):
    given = client.create_run(client.create_experiment("elsewhere"), tags={"mlflow.source.type": "PROJECT"})
    monkeypatch.setenv("MLFLOW_RUN_ID", given.info.run_id)
    tracker = MlflowTracker(workdir / "spool")
    first = root(tracker, run_id="0" * 32)
    first.child(name="child", kind=RunKind.TRAIN).finish()
    first.finish()
    tracker.start(name="second", kind=RunKind.EXPORT).finish()
    tracker.close()
    assert first.run_id == given.info.run_id
    assert runs(client) == []
    found = {one.info.run_name: one for one in runs(client, "elsewhere")}
    parents = {name: one.data.tags.get("mlflow.parentRunId") for name, one in found.items()}
    name = given.info.run_name
    assert parents == {name: None, "child": first.run_id, "second": first.run_id}
    assert found[name].info.status == "FINISHED"
    assert found[name].data.tags["mlflow.source.type"] == "PROJECT"
    assert found[name].data.tags["g2l.kind"] == "pipeline"
    assert found[name].data.tags["g2l.resumes"] == "0" * 32


def test_what_mlflow_run_was_given_stays_beside_what_it_became(workdir, client, monkeypatch, caplog):
    made = client.create_run(client.create_experiment("mine")).info.run_id
    for name, value in {"structure": "runs:/1/structure.json", "seed": "0", "opset": "''"}.items():
        client.log_param(made, name, value)
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    tracker = MlflowTracker(workdir / "spool")
    run = root(tracker)
    run.log_params({"structure": [[1, 2]], "seed": 0, "opset": None, "origin": "searched"})
    run.finish()
    assert tracker.close() is None
    assert client.get_run(made).data.params == {
        "structure": "runs:/1/structure.json",
        "resolved.structure": "[[1, 2]]",
        "seed": "0",
        "opset": "''",
        "resolved.opset": "None",
        "origin": "searched",
    }
    assert not caplog.records


def test_runs_are_reopened_on_resume(workdir, client):
    tracker = MlflowTracker(workdir / "spool")
    run = root(tracker)
    child = run.child(name="train", kind=RunKind.TRAIN)
    child.finish(RunStatus.KILLED)
    run.finish(RunStatus.KILLED)
    tracker.close()
    tracker = MlflowTracker(workdir / "spool")
    again = root(tracker, run_id=run.run_id)
    assert again.run_id == run.run_id
    below = again.child(name="train", kind=RunKind.TRAIN, run_id=child.run_id)
    below.log_metrics({"accuracy": 1.0})
    below.finish()
    again.finish()
    tracker.close()
    assert len(runs(client)) == 2
    assert {one.info.status for one in runs(client)} == {"FINISHED"}


def test_a_child_with_a_key_is_reopened_by_it_in_the_same_process_and_in_the_next_one(workdir, client):
    tracker = MlflowTracker(workdir / "spool")
    run = root(tracker)
    for step in (1, 2):
        child = run.child(name="candidate", kind=RunKind.CANDIDATE, key="1,2/0")
        child.log_metrics({"fitness": 10.0 * step}, step=step)
        child.finish()
    undecided = run.child(name="candidate", kind=RunKind.CANDIDATE, key="1,4/0")
    undecided.log_metrics({"fitness": 5.0}, step=1)
    run.finish(RunStatus.KILLED)
    tracker.close()
    tracker = MlflowTracker(workdir / "spool")
    again = root(tracker, run_id=run.run_id)
    ends = {"1,2/0": RunStatus.FINISHED, "1,4/0": RunStatus.KILLED, "1,8/0": RunStatus.FAILED}
    for key, status in ends.items():
        child = again.child(name="candidate", kind=RunKind.CANDIDATE, key=key)
        child.log_metrics({"fitness": 30.0}, step=3)
        child.finish(status)
    again.finish()
    tracker.close()
    children = [one for one in runs(client) if "mlflow.parentRunId" in one.data.tags]
    assert sorted(one.info.status for one in children) == ["FAILED", "FINISHED", "KILLED"]
    assert not any("g2l.reason" in one.data.tags for one in children)
    series = [[m.step for m in client.get_metric_history(one.info.run_id, "fitness")] for one in children]
    assert sorted(series) == [[1, 2, 3], [1, 3], [3]]


@pytest.mark.parametrize("deleted", [True, False])
def test_a_run_that_is_gone_is_replaced(workdir, client, deleted):
    run_id = "f" * 32
    if deleted:
        run_id = client.create_run("0").info.run_id
        client.delete_run(run_id)
    tracker = MlflowTracker(workdir / "spool")
    run = root(tracker, run_id=run_id)
    run.finish()
    tracker.close()
    assert run.run_id not in (None, run_id)
    assert len(runs(client)) == 1


def test_mlflow_is_not_imported_before_something_is_recorded(workdir):
    code = (
        "import sys, pathlib, g2l.tracking.mlflow_tracker as t, g2l.tracking.resolve\n"
        "t.MlflowTracker(pathlib.Path('spool')).close()\n"
        "assert not {'mlflow', 'onnx', 'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=workdir, env=process_environment(), check=True)


def test_the_null_tracker_takes_every_call(tmp_path):
    tracker: Tracker = NullTracker()
    run = tracker.start(name="x", kind=RunKind.TRAIN)
    child = run.child(name="y", kind=RunKind.SEED)
    child.log_metrics({"a": 1.0}, step=3)
    child.log_artifact(tmp_path)
    child.finish(RunStatus.FAILED, "no reason")
    assert run.run_id is None
    assert tracker.close() is None
