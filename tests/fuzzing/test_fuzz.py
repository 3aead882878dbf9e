"""Thousands of spoilt files: each is refused in one line that names it, or read as what it still says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SEED = 0
SECONDS = 200


def spoil(kind, folder, *extra):
    """Run the process that reads spoilt files; return what it said, and how it ended."""
    command = [sys.executable, str(HERE / "fuzz_process.py"), kind, str(folder), str(SEED), *extra]
    variables = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    with (folder / "errors").open("wb") as errors:
        done = subprocess.run(
            command, env=variables, stdout=subprocess.PIPE, stderr=errors, timeout=SECONDS, check=False
        )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    ended = f"ended with {done.returncode} after {said[-1:]}: {(folder / 'errors').read_text()[-2000:]}"
    return said, done.returncode, ended


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.parametrize(
    ("kind", "least", "targets"), [("files", 2900, 14), ("models", 900, 3), ("commands", 28, 1)]
)
def test_every_reader_refuses_or_reads(tmp_path, kind, least, targets):
    said, status, ended = spoil(kind, tmp_path)
    assert status == 0, ended
    assert "onnxruntime" not in (tmp_path / "errors").read_text()  # what is wrong is said once
    faults = [line for line in said if "fault" in line]
    assert faults == []
    read = Counter(line["target"] for line in said)
    assert len(read) == targets
    assert read.total() >= least
