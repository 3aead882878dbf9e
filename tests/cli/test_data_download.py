from __future__ import annotations

from pathlib import Path

import pytest
from command_lines import invoke, refusal

from g2l.datasets import download
from tests.oracles.archive_server import dataset_files, serving, zipped

DOWNLOAD = ("data", "download", "gtea")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, "WAIT_S", 0.0)
    with serving(zipped(dataset_files("gtea"))) as running:
        monkeypatch.setitem(download.SOURCES, "gtea", running.source())
        yield running


def test_terms_come_first_and_the_data_set_is_valid(server) -> None:
    told = invoke(*DOWNLOAD, "--yes")
    assert told.exit_code == 0, told.stderr
    lines = told.stderr.splitlines()
    assert "terms of the data set: be kind." in lines
    assert "terms of the archive: cc-by-4.0" in lines
    assert "cite: Doe, 2020; features: Abu Farha and Gall, CVPR 2019" in lines
    assert lines[-1] == "try: g2l data validate --data-root data --dataset gtea"
    assert invoke("data", "validate", "--dataset", "gtea").exit_code == 0


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_without_consent_nothing_is_downloaded(server, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    from typer.testing import CliRunner

    from cli.main import app

    told = CliRunner().invoke(app, [*DOWNLOAD], input=answer)
    assert told.exit_code == 2
    assert "Download under these terms?" in told.stderr
    assert "error: the terms were not accepted; nothing was downloaded." in told.stderr
    assert not Path("data").exists()
    assert server.asked == []


def test_a_server_that_breaks_off_is_one_line_and_the_next_call_goes_on(server) -> None:
    server.breaks = [700, *[0] * 5]
    told = invoke(*DOWNLOAD, "--yes")
    assert told.exit_code == 1
    errors = [line for line in told.stderr.splitlines() if line.startswith(("error:", "hint:"))]
    assert len(errors) == 2
    assert "/file: broke off after 700 of" in errors[0]
    assert errors[1] == "hint: run the command again: it goes on from there."
    assert not Path("data/gtea").exists()
    assert invoke(*DOWNLOAD, "--yes").exit_code == 0
    assert server.asked[-1] == "bytes=700-"


def test_other_failures_are_one_line(server) -> None:
    server.statuses = [404]
    told = invoke(*DOWNLOAD, "--yes")
    assert told.exit_code == 1
    assert told.stderr.splitlines()[-1].endswith("/file: answered 404 Not Found.")
    server.record = b"{}"
    assert invoke(*DOWNLOAD, "--yes").exit_code == 1


def test_names_are_suggested(server) -> None:
    assert refusal(invoke("data", "download", "breakfasts")).endswith("hint: did you mean breakfast?")
    Path("data/gtea").mkdir(parents=True)
    assert "error: data/gtea: already exists." in refusal(invoke(*DOWNLOAD))
