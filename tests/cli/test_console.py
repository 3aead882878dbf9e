"""Tables, characters that an encoding lacks, and the exit code and line of each kind of error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import console
from cli.boundary import EXIT_INPUT, EXIT_OPERATIONAL, exit_code
from g2l.errors import InputError

ROOT = Path(__file__).parents[2]
ROW = {
    "structure": "winner\nhand-designed",
    "rates": "1 2 4 8 16 32 64 128 256 512\n1 2 4",
    "receptive field\nlook-ahead": "7 frames",
    "F1": "61.2 ± 0.8",
}


@pytest.mark.parametrize(("encoding", "score"), [("ascii", "61.2 +/- 0.8"), ("cp1252", "61.2 ± 0.8")])
def test_help_and_tables_come_in_any_encoding(encoding, score):
    script = "from cli import console; console.tolerate_encodings(); "
    script += f"console.table('t', [{ROW!r}]); console.error('切 [bold] :smile: −1…')"
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "100"}
    for command in (("-m", "cli", "pipeline", "--help-all"), ("-c", script)):
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        told = done.stdout.decode(encoding)
    assert score in told
    ellipsis = "..." if encoding == "ascii" else "…"
    assert done.stderr.decode(encoding) == f"error: ? [bold] :smile: -1{ellipsis}\n"


@pytest.mark.parametrize("width", [20, 70])
def test_a_table_that_is_too_wide_becomes_paragraphs(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    console.table("The best structures", [ROW, ROW])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["The best structures", "winner, hand-designed"]
    assert lines[2] == "  rates                       1 2 4 8 16 32 64 128 256 512"
    assert lines[3] == "                              1 2 4"
    assert lines[4] == "  receptive field look-ahead  7 frames"
    assert lines[6] == "winner, hand-designed"


@pytest.mark.parametrize("columns", ["100", None])
def test_other_tables_break_no_word(columns, monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    long = ("1024 " * (40 if columns is None else 8)).strip()
    console.table("t", [ROW | {"rates": long}])
    out = capsys.readouterr().out
    assert long in out
    assert "│" in out


def fail(error: BaseException) -> None:
    raise error


def behind(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
        behind(ImportError("numpy could not be imported"), MemoryError("no room")),
    ],
)
def test_a_lack_of_memory_is_not_a_bug(error, capsys):
    assert exit_code(lambda: fail(error), debug=False) == EXIT_OPERATIONAL
    told = capsys.readouterr().err
    assert told.startswith("error: not enough memory: ")
    assert "ulimit -v" in told
    assert "Traceback" not in told


def test_what_the_system_refuses_is_not_a_bug(capsys):
    assert exit_code(lambda: fail(PermissionError(13, "Permission denied", "a/b")), debug=False) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: a/b: Permission denied\n")
    assert "internal error" not in told


@pytest.mark.parametrize("error", [InputError("wrong"), MemoryError(), ZeroDivisionError()])
def test_debug_shows_the_traceback_once(error, capsys):
    assert exit_code(lambda: fail(error), debug=True) in (EXIT_INPUT, EXIT_OPERATIONAL)
    assert capsys.readouterr().err.count("Traceback") == 1
