"""Help, streams, quietness, plain output, and what the start of the command imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import TRAIN, Run, invoke

import g2l

ROOT = Path(__file__).parents[2]
ESCAPE = "\x1b"


def checkout(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | variables
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str) -> None:
    line = "g2l search-"
    asked = {
        "_G2L_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = checkout("-c", "from cli.main import app; app(prog_name='g2l')", **asked)
    assert "search-global" in done.stdout, done.stderr
    assert "search-local" in done.stdout
    assert "export" not in done.stdout


@pytest.mark.parametrize("line", [(), ("data",), ("structure",)])
def test_a_group_alone_shows_its_help(line: tuple[str, ...]) -> None:
    told = invoke(*line)
    assert "Usage: " + " ".join(["g2l", *line]) in told.stdout
    assert "<bool>" not in told.stdout
    assert told.stderr == ""


def test_version() -> None:
    told = invoke("--version")
    assert (told.exit_code, told.stdout, told.stderr) == (0, f"g2l {g2l.__version__}\n", "")


def test_data_to_stdout_and_the_rest_to_stderr(trained) -> None:
    _, told = trained
    assert "hand-designed" in told.stdout
    assert "F1@50" in told.stdout
    assert "results" not in told.stdout
    assert told.stderr.splitlines()[-1].startswith("results: ")
    assert "training: 2/2 · loss" in told.stderr
    assert ESCAPE not in told.stdout + told.stderr


def test_quiet_says_only_what_was_asked_for(run: Run) -> None:
    told = run(*TRAIN, "--quiet")
    assert (told.exit_code, told.stderr) == (0, "")
    assert "hand-designed" in told.stdout


def test_a_bug_shows_its_traceback_and_is_called_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("of our own making")

    monkeypatch.setattr("g2l.structure_files.read_structure", fail)
    told = run("structure", "show", "data/tiny/mapping.txt")
    assert told.exit_code == 1
    assert "Traceback" in told.stderr
    assert "error: internal error: ZeroDivisionError: of our own making" in told.stderr
    assert "hint: this is a bug in g2l" in told.stderr


SCRIPT = """
import sys
import cli.main
try:
    cli.main.main()
except SystemExit:
    pass
heavy = {name.partition(".")[0] for name in sys.modules}
print("HEAVY", sorted(heavy & {"torch", "mlflow", "onnx", "onnxruntime", "sklearn", "matplotlib", "scipy"}))
"""


def test_the_command_line_in_a_checkout_imports_nothing_heavy() -> None:
    told = checkout("-m", "cli", "--help", NO_COLOR="1")
    assert told.returncode == 0
    assert "search-global" in told.stdout
    assert ESCAPE not in told.stdout
    for line in (["train", "--help"], ["structure", "show", "none.json"]):
        told = checkout("-c", SCRIPT, *line)
        assert "HEAVY []" in told.stdout, (line, told.stdout[-200:], told.stderr)
