"""`g2l sync`: exit codes and what it prints; what it sends is tested in tests/tracking."""

from __future__ import annotations

import pytest
from command_lines import Run

from g2l.errors import OperationalError
from g2l.tracking import process
from g2l.tracking.upload import RecordedRun


def test_each_folder_is_recorded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = []

    def record(folder):
        recorded.append(str(folder))
        return RecordedRun(uri="http://host", run_id="abc", experiment_id="1")

    monkeypatch.setattr(process, "record", record)
    told = run("sync", "one", "two")
    assert (told.exit_code, recorded) == (0, ["one", "two"])
    page = "page in MLflow: http://host/#/experiments/1/runs/abc"
    assert told.stderr.splitlines() == ["one: MLflow run abc", page, "two: MLflow run abc", page]


def test_a_store_that_does_not_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def record(folder):
        raise OperationalError(f"{folder}: not recorded: Connection refused", hint="start it")

    monkeypatch.setattr(process, "record", record)
    told = run("sync", "one")
    assert told.exit_code == 1
    assert told.stderr.splitlines() == ["error: one: not recorded: Connection refused", "hint: start it"]


def test_a_folder_that_holds_no_run(run: Run) -> None:
    told = run("sync", "nothing")
    assert told.exit_code == 2
    assert "nothing/run.json: no such file" in told.stderr
