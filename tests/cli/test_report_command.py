"""`g2l report`: what it takes, where it writes, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_lines import Run, refusal
from typer.testing import Result

from g2l.tracking import resolve


@pytest.fixture
def folder(workdir: Path, trained: tuple[Path, Result]) -> Path:
    """A training of two seeds in `out`."""
    return Path(shutil.copytree(trained[0], workdir / "out")).relative_to(workdir)


def test_a_page_is_written_into_the_folder(run: Run, folder: Path) -> None:
    told = run("report", f"{folder}/")
    assert (told.exit_code, told.stdout, told.stderr) == (0, "", "report: out/report.html\n")
    page = (folder / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>\n")
    assert "On the test videos of tiny split 1 the hand-designed structure has a mean F1 of" in page
    assert "tiny" in page


def test_markdown_is_for_a_pull_request(run: Run, folder: Path) -> None:
    told = run("report", str(folder), "--format", "md", "--output", "notes/pull.md", "--quiet")
    assert (told.exit_code, told.stdout, told.stderr) == (0, "", "")
    assert Path("notes/pull.md").read_text().startswith("# G2L: tiny split 1\n")


def test_several_runs_are_compared_in_the_working_directory(run: Run, folder: Path) -> None:
    shutil.copytree(folder, "other")
    told = run("report", str(folder), "other")
    assert (told.exit_code, told.stderr) == (0, "report: report.html\n")
    assert "train of tiny split 1 (other)" in Path("report.html").read_text()


def test_a_run_of_mlflow_is_fetched(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch_run(run_id, names):
        asked.append((run_id, "journal.jsonl" in names))
        return folder

    monkeypatch.setattr(resolve, "fetch_run", fetch_run)
    assert run("report", "0" * 32).stderr == "report: report.html\n"
    assert run("report", f"runs:/{'0' * 32}", "--format", "md").stderr == "report: report.md\n"
    assert asked == [("0" * 32, True)] * 2


def test_only_reports_are_replaced(run: Run, folder: Path) -> None:
    for form in ("html", "md"):
        line = ("report", str(folder), "--format", form, "--output", "page")
        assert run(*line).exit_code == 0
        assert run(*line).exit_code == 0
        Path("page").unlink()
    Path("page").write_text("# G2L: my own notes of g2l report")
    assert "page: exists, and was not written by this command" in refusal(
        run("report", "out", "--output", "page")
    )


def test_what_is_no_run_is_refused(run: Run, folder: Path) -> None:
    assert "error: nothing: expected the output folder of a run or the id of an MLflow run" in refusal(
        run("report", "nothing")
    )
    assert "error: data: expected the output folder of a run, but it holds neither run.json nor" in refusal(
        run("report", "data")
    )
    assert "`--format` must be one of html, md, but is 'pdf' instead." in refusal(
        run("report", str(folder), "--format", "pdf")
    )
    assert not list(folder.glob("report.*"))
