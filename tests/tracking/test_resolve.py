"""References lead to files, also in a project that was moved; a tag leads out of no folder."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
from generated_run import write_run

from g2l.errors import InputError
from g2l.tracking.environment import target
from g2l.tracking.models import log_model
from g2l.tracking.resolve import fetch_run, resolve_artifact
from g2l.tracking.state import OnnxModel
from g2l.tracking.upload import Uploader, recorded_run

WANTED = ("run.json", "journal.jsonl")


@pytest.fixture
def run_id(workdir):
    folder = write_run(workdir / "run")
    assert Uploader(folder, target()).step(over=True)
    return recorded_run(folder, target()).run_id


def moved(workdir, tmp_path_factory, monkeypatch):
    """Move the project to another place, as far as its store and its artifacts are concerned."""
    new = tmp_path_factory.mktemp("moved")
    for name in ("mlflow.db", "mlruns"):
        shutil.move(workdir / name, new / name)
    monkeypatch.chdir(new)
    return new


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_files_of_a_run_and_of_the_stages_below_it(run_id, workdir, client, tmp_path_factory, monkeypatch):
    for outside in ("../outside", "..", "/tmp/outside", ".hidden", "a/b", ""):
        tags = {"mlflow.parentRunId": run_id, "g2l.kind": "train", "g2l.folder": outside}
        other = client.create_run(client.get_run(run_id).info.experiment_id, tags=tags)
        client.log_text(other.info.run_id, "outside", "run.json")
    expected = {
        f"{run_id}/{name}"
        for name in (
            "run.json", "search-global/run.json", "search-global/journal.jsonl", "search-local/run.json",
            "train/run.json", "train/seed-0/run.json",
        )
    }  # fmt: skip
    assert names(fetch_run(run_id, WANTED).parent) == expected
    moved(workdir, tmp_path_factory, monkeypatch)
    assert names(fetch_run(run_id, WANTED).parent) == expected


def test_a_run_that_is_not_there_is_named(workdir, client):
    with pytest.raises(InputError, match=f"run {'0' * 32}: not found in MLflow at sqlite:.*mlflow.db"):
        fetch_run("0" * 32, WANTED)


def test_files_of_a_moved_project_are_found_beside_its_store(
    run_id, workdir, client, onnx_file, tmp_path_factory, monkeypatch
):
    log_model(client, target().uri, client.get_run(run_id), OnnxModel(onnx_file, "segmenter", "best"))
    new = moved(workdir, tmp_path_factory, monkeypatch)
    assert resolve_artifact(f"runs:/{run_id}/run.json").is_relative_to(new)
    assert resolve_artifact("models:/segmenter@best").read_bytes() == onnx_file.read_bytes()
    for reference in (f"runs:/{run_id}/../../../secret", f"runs:/{run_id}/none.json"):
        (new / "secret").write_text("")
        with pytest.raises(InputError, match="not found in MLflow"):
            resolve_artifact(reference)
    assert not (workdir / "mlruns").exists()


def test_a_run_of_a_moved_project_makes_no_old_place_again(run_id, workdir, tmp_path_factory, monkeypatch):
    new = moved(workdir, tmp_path_factory, monkeypatch)
    shutil.move(workdir / "run", new / "run")
    write_run(new / "second")
    place = workdir / "gone"
    with closing(sqlite3.connect(new / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ?", [f"{place}/mlruns/1"])
    with pytest.raises(Exception, match="gone/mlruns/1 of experiment 'g2l' is gone") as caught:
        Uploader(new / "second", target()).step(over=True)
    assert f"ln -s {new / 'mlruns'} {place / 'mlruns'}" in caught.value.hint
    assert not place.exists()
    assert recorded_run(new / "second", target())
