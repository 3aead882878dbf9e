"""Output on streams that cannot show everything, and on narrow terminals; errors that are no bugs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import console
from cli.boundary import EXIT_INPUT, EXIT_OPERATIONAL, exit_code
from g2l.errors import InputError

ROOT = Path(__file__).parents[2]
COLUMNS = ("structure", "rates", "receptive field\nlook-ahead", "F1")
ROWS = [("winner\nhand-designed", "1 2 4\n8 16 32", "1,024 frames\n511 frames", "61.2 ± 0.8")]


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("ascii", "-1.0 +/- 2 x 3... ?"), ("cp1252", "-1.0 ± 2 × 3… ?"), ("utf-8", "−1.0 ± 2 × 3… 切")],
)
def test_characters_that_an_encoding_lacks_are_replaced(encoding, expected, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    console.tolerate_encodings()
    console.data("−1.0 ± 2 × 3… 切")
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) == f"{expected}\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_help_and_tables_come_in_any_encoding(encoding):
    script = "from cli import console; console.tolerate_encodings(); "
    script += f"console.table('t', {COLUMNS!r}, {ROWS!r}); console.error('切 [bold] :smile: −1')"
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "100"}
    for command in (("-m", "cli", "pipeline", "--help-all"), ("-c", script)):
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        done.stdout.decode(encoding)
    assert done.stderr.decode(encoding) == "error: ? [bold] :smile: -1\n"
    assert ("61.2 +/- 0.8" if encoding == "ascii" else "61.2 ± 0.8") in done.stdout.decode(encoding)


@pytest.mark.parametrize("width", [20, 40, 70])
def test_a_table_that_is_too_wide_becomes_paragraphs(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    long = [
        (f"structure {number}", "1 2 4 8 16 32 64 128 256 512\n1 2 4", "7 frames", "60.0")
        for number in (1, 2)
    ]
    console.table("The best structures", COLUMNS, long)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["The best structures", "structure 1"]
    assert lines[2] == "  rates                       1 2 4 8 16 32 64 128 256 512"
    assert lines[3] == "                              1 2 4"
    assert lines[4] == "  receptive field look-ahead  7 frames"
    assert lines[6] == "structure 2"


@pytest.mark.parametrize("columns", ["100", None])
def test_other_tables_break_no_word(columns, monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    wide = [("a", "1024 " * (40 if columns is None else 8), "7 frames", "60.0")]
    console.table("t", COLUMNS, wide)
    out = capsys.readouterr().out
    assert wide[0][1].strip() in out
    assert "│" in out


def test_counts_are_singular_and_plural():
    assert [console.count(number, "seed") for number in (0, 1, 2, 1000)] == [
        *("0 seeds", "1 seed", "2 seeds", "1,000 seeds")
    ]


def fail(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_lack_of_memory_is_not_a_bug(error, capsys):
    assert exit_code(lambda: fail(error), debug=False) == EXIT_OPERATIONAL
    told = capsys.readouterr().err
    assert told.startswith("error: not enough memory: ")
    assert "ulimit -v" in told
    assert "internal error" not in told
    assert "Traceback" not in told


def test_what_the_system_refuses_is_not_a_bug(capsys):
    assert exit_code(lambda: fail(PermissionError(13, "Permission denied", "a/b")), debug=False) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: a/b: Permission denied\n")
    assert "internal error" not in told


def test_a_memory_error_behind_an_import_error_counts(capsys):
    try:
        raise ImportError("numpy could not be imported") from MemoryError("no room")
    except ImportError as error:
        found = error
    assert exit_code(lambda: fail(found), debug=False) == EXIT_OPERATIONAL
    assert "error: not enough memory: no room" in capsys.readouterr().err


@pytest.mark.parametrize("error", [InputError("wrong"), MemoryError(), ZeroDivisionError()])
def test_debug_shows_the_traceback_once(error, capsys):
    assert exit_code(lambda: fail(error), debug=True) in (EXIT_INPUT, EXIT_OPERATIONAL)
    assert capsys.readouterr().err.count("Traceback") == 1


@pytest.mark.skipif(not Path("/proc").exists(), reason="an address-space limit is a matter of Linux")
def test_imports_that_an_address_space_limit_breaks():
    line = f"ulimit -v 300000; {sys.executable} -m cli train --dataset x --hand-designed"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_OPERATIONAL
    assert done.stderr.startswith("error: not enough memory: ")
