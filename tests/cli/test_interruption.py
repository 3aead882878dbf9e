"""Ctrl-C and SIGTERM: exit code 130, and the line that continues the run."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_lines import LOCAL, SEARCH, SMALL, TRAIN, Run
from typer.testing import Result

from cli.session import program

ROOT = Path(__file__).parents[2]


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def resume_arguments(told: Result) -> list[str]:
    assert told.exit_code == 130, told.stderr
    assert "Traceback" not in told.stderr
    (line,) = [line for line in told.stderr.splitlines() if line.startswith("to resume: ")]
    program, *arguments = shlex.split(line.removeprefix("to resume: "))
    assert program == "g2l"
    assert arguments[-1] == "--resume"
    return arguments


@pytest.mark.parametrize(
    ("line", "stage", "output"),
    [
        (TRAIN, "g2l.pipeline.fitting.fit", ("--output-dir", "my run")),
        (("search-local", *SMALL, *LOCAL, "--hand-designed"), "g2l.pipeline.search_local.fit", ()),
        (("pipeline", *SMALL, *SEARCH, *LOCAL), "g2l.pipeline.search_local.fit", ()),
    ],
    ids=["train", "search-local", "pipeline"],
)
def test_the_printed_line_resumes(
    run: Run, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...], stage: str, output: tuple[str, ...]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(stage, interrupt)
        arguments = resume_arguments(run(*line, *output))
    folder = Path(arguments[arguments.index("--output-dir") + 1])
    assert folder.parent == Path() if output else folder.parts[:2] == ("runs", line[0])
    assert (folder / "run.json").is_file()
    assert not (folder / "result.json").exists()
    told = run(*arguments)
    assert told.exit_code == 0, told.stderr
    assert (folder / "result.json").is_file()


SCRIPT = """
import sys, time
from pathlib import Path
import g2l.pipeline.fitting
from g2l.tracking.process import Upload
def fit(*_, **__):
    Path("started").touch()
    time.sleep(60)
g2l.pipeline.fitting.fit = fit
Upload.start = lambda upload, folder: None
from cli.main import main
main()
"""


def test_sigterm_is_an_interruption(workdir: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, *TRAIN, "--output-dir", "out"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not Path("started").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "to resume: g2l train" in told
    assert told.rstrip().endswith("--output-dir out --resume")
    assert "Traceback" not in told


SEARCHING = """
import sys
from cli.main import main
if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(("moment", "presses"), [("out/journal.jsonl", 1), ("out/trainings/*/last.ckpt", 2)])
def test_ctrl_c_ends_a_search_and_its_workers(workdir: Path, moment: str, presses: int) -> None:
    """While workers start and while they train, and again while they are ended."""
    script = workdir / "search.py"
    script.write_text(SEARCHING)
    line = ("search-global", *SMALL, "--population", "2", "--generations", "300", "--proxy-steps", "2")
    line += ("--space", "rates", "--budget", "2000", "--executor", "process", "--workers", "2")
    process = subprocess.Popen(
        [sys.executable, str(script), *line, "--output-dir", "out"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not any(Path().glob(moment)) and process.poll() is None:
        time.sleep(0.01)
    for _ in range(presses):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        time.sleep(0.05)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert f"to resume: {sys.executable} {script} search-global" in told
    deadline = time.monotonic() + 60
    while _exists(process.pid):  # the last one, of Python itself, sees that the others are gone
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("script", "typed", "expected"),
    [
        ("elsewhere/bin/g2l", ["python", "elsewhere/bin/g2l", "train"], ["elsewhere/bin/g2l"]),
        ("/w/cli/__main__.py", ["python3", "-m", "cli", "train"], ["python3", "-m", "cli"]),
        ("search.py", ["python3", "search.py", "train"], ["python3", "search.py"]),
        ("/usr/lib/pytest/__main__.py", ["python3", "-m", "pytest"], ["g2l"]),
    ],
)
def test_the_line_calls_the_program_as_it_was_called(
    script: str, typed: list[str], expected: list[str]
) -> None:
    assert program(script, typed) == expected
