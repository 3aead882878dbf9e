"""Help, streams, quietness, plain output, and what the start of the command imports."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from command_lines import TRAIN, Run, invoke

import g2l
from cli.main import app

ROOT = Path(__file__).parents[2]
ESCAPE = "\x1b"


def commands(group: object = None, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], object]]:
    group = typer.main.get_command(app) if group is None else group
    found = [(path, group)]
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize(
    ("path", "command"),
    [(path, command) for path, command in commands() if not hasattr(command, "commands")],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_every_help_ends_in_an_example_that_parses(path: tuple[str, ...], command) -> None:
    (example,) = re.findall(r"Example: (.*)", " ".join(command.help.split()))
    words = shlex.split(example)
    assert words[: len(path) + 1] == ["g2l", *path]
    command.make_context(command.name, words[len(path) + 1 :])


@pytest.mark.parametrize(("shell", "word"), [("bash", "search-"), ("zsh", "search-"), ("fish", "search-")])
def test_shells_complete_commands(shell: str, word: str) -> None:
    line = f"g2l {word}"
    asked = {
        "_G2L_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    script = "from cli.main import app; app(prog_name='g2l')"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ | asked, capture_output=True, text=True
    )
    assert "search-global" in done.stdout, done.stderr
    assert "search-local" in done.stdout
    assert "export" not in done.stdout


@pytest.mark.parametrize("line", [(), ("data",), ("structure",)])
def test_a_group_alone_shows_its_help(line: tuple[str, ...]) -> None:
    told = invoke(*line)
    assert "Usage: " + " ".join(["g2l", *line]) in told.stdout
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
    assert told.exit_code == 0
    assert told.stderr == ""
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


def test_debug_shows_the_traceback_of_an_error(run: Run) -> None:
    told = run("structure", "show", "none.json", "--debug")
    assert told.exit_code == 2
    assert "Traceback" in told.stderr
    assert told.stderr.splitlines()[-1] == "error: none.json: no such file."


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


def checkout(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | variables
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_help_from_a_checkout_imports_nothing_heavy() -> None:
    told = checkout("-m", "cli", "--help", NO_COLOR="1")
    assert told.returncode == 0
    assert "search-global" in told.stdout
    assert ESCAPE not in told.stdout
    for line in (["--help"], ["train", "--help"], ["predict", "--help"], ["structure", "show", "none.json"]):
        told = checkout("-c", SCRIPT, *line)
        assert "HEAVY []" in told.stdout, (line, told.stdout[-200:], told.stderr)
