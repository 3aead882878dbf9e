"""The process beside a run: it records while the run works, and holds nobody up."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from generated_run import close_stage, held, open_stage, write_run

from g2l.errors import OperationalError
from g2l.files import hold_folder
from g2l.records import RUN, RunKind, RunStatus, StatusRecord
from g2l.tracking.environment import load_mlflow
from g2l.tracking.process import Upload, record


def finished(folder, **options):
    upload = Upload(tell=options.pop("tell", None), pending=options.pop("pending", None))
    upload.start(folder)
    return upload, upload.finish(**options)


def test_a_run_is_recorded_and_nothing_reaches_the_streams(workdir, client, capfd):
    folder = write_run(workdir / "run")
    upload, late = finished(folder, pending=workdir / "unrecorded")
    assert late is None
    assert len(held(client)) == 10
    assert client.get_run(upload.recorded().run_id).info.run_name == "run"
    assert capfd.readouterr() == ("", "")
    assert not (workdir / "unrecorded").exists()


def test_three_first_starts_at_once_are_all_recorded(workdir):
    (workdir / "mlflow.db").unlink()
    uploads = []
    for name in ("one", "two", "three"):
        open_stage(workdir / name, RunKind.TRAIN, {}, root=True)
        close_stage(workdir / name)
        uploads.append(Upload())
        uploads[-1].start(workdir / name)
    assert [upload.finish(patience=60) for upload in uploads] == [None] * 3
    runs = load_mlflow().MlflowClient(tracking_uri=f"sqlite:///{workdir / 'mlflow.db'}")
    assert held(runs).keys() == {"one", "two", "three"}


def test_a_run_that_is_going_on_is_shown(workdir, client):
    folder = workdir / "run"
    open_stage(folder, RunKind.TRAIN, {"seed": 0}, root=True)
    upload = Upload()
    upload.start(folder)
    wait_for(upload.recorded)
    assert client.get_run(upload.recorded().run_id).info.status == "RUNNING"
    close_stage(folder)
    assert upload.finish() is None
    assert client.get_run(upload.recorded().run_id).info.status == "FINISHED"


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_a_run_that_was_refused_is_not_waited_for(workdir):
    folder = workdir / "run"
    open_stage(folder, RunKind.TRAIN, {}, root=True)
    upload = Upload()
    upload.start(folder)
    shutil.rmtree(folder)
    assert upload.finish() is None
    assert upload.recorded() is None
    assert Upload().finish() is None


def test_a_damaged_record_of_a_run_is_reported(workdir, client):
    folder = write_run(workdir / "run")
    (folder / RUN).write_text("{")
    upload, late = finished(folder)
    assert "run.json:1: expected JSON" in late
    assert upload.recorded() is None
    assert held(client) == {}


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_server_that_hangs_is_not_waited_for(workdir, client, monkeypatch, interrupted):
    folder = write_run(workdir / "run")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        pending = workdir / "unrecorded"
        upload, late = finished(folder, pending=pending, patience=3.0, interrupted=interrupted)
    assert late.endswith(f"not recorded yet: run `g2l sync {folder}`")
    assert upload.recorded() is None
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert held(client) == {}
    # The next run records it too.
    other = workdir / "other"
    open_stage(other, RunKind.TRAIN, {}, root=True)
    close_stage(other)
    assert finished(other, pending=pending)[1] is None
    assert len(held(client)) == 11
    assert not pending.exists()


def test_a_problem_is_told_once_while_the_run_goes_on(workdir, client):
    client.delete_experiment(client.create_experiment("g2l"))
    folder, told = write_run(workdir / "run"), []
    _, late = finished(folder, tell=told.append)
    (line,) = told
    assert "experiment 'g2l' is deleted" in line
    assert "experiment 'g2l' is deleted" in late


FAILS_AGAIN_AND_AGAIN = """
import json, time
for _ in range(200):
    print(json.dumps({"allow": 60.0}), flush=True)
    print(json.dumps({"problem": "database or disk is full", "hint": None}), flush=True)
    time.sleep(0.1)
print(json.dumps({"arrived": True}), flush=True)
"""


def test_a_request_that_fails_again_and_again_is_no_progress(workdir, monkeypatch):
    folder, start = write_run(workdir / "run"), subprocess.Popen
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda _, **options: start([sys.executable, "-c", FAILS_AGAIN_AND_AGAIN], **options),
    )
    _, late = finished(folder, patience=1.0)
    assert late == f"database or disk is full; not recorded yet: run `g2l sync {folder}`"


KILLED = """
import os, signal, sys
from pathlib import Path
from g2l.tracking.environment import load_mlflow
from g2l.tracking.process import Upload
Upload(pending=Path("unrecorded")).start(Path(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_whose_process_was_killed_is_recorded_as_killed(workdir, client):
    folder = write_run(workdir / "run")
    StatusRecord(status=RunStatus.RUNNING).write(folder)
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=workdir, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_for(lambda: not (workdir / "unrecorded").exists())
    content = held(client)
    assert content["run"][1][0] == "KILLED"
    assert content["run"][3]["g2l.reason"] == "the process ended before the run did"
    assert len(content) == 10


def test_an_uploader_that_is_killed_at_any_time_leaves_nothing_twice_or_lost(
    workdir, client, empty_store, monkeypatch
):
    folder = write_run(workdir / "run", candidates=20)
    for _ in range(3):
        upload = Upload()
        upload.start(folder)
        wait_for(upload.recorded)
        time.sleep(random.uniform(0.2, 3.0))
        upload._process.kill()
        upload._process.wait()
    assert record(folder) is not None
    killed = held(client)
    other = f"sqlite:///{workdir / 'other.db'}"
    shutil.copyfile(empty_store, workdir / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
    assert record(folder) is not None
    assert killed == held(load_mlflow().MlflowClient(tracking_uri=other))
    assert len(killed) == 27


def test_a_run_that_is_still_going_on_is_left_to_its_own_process(workdir):
    folder = write_run(workdir / "run")
    with hold_folder(folder), pytest.raises(OperationalError, match="another process is working"):
        record(folder / "train" / "seed-0")
