"""`g2l predict`: memory, resuming, where the time goes, and Ctrl-C."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_lines import Run
from typer.testing import Result

from g2l.inference import tiling

ROOT = Path(__file__).parents[2]
FEATURES = ("--features", "data/tiny/features")
LINE = ("--device", "cpu", "--output", "out")


RECORDS = ("run.json", "status.json", "result.json")
"""Says who predicted when; the command line in it differs between runs."""


def files(folder: str = "out") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.name not in RECORDS}


def test_a_second_run_does_what_is_missing(run: Run, model: Path) -> None:
    line = ("predict", "--model", str(model), *FEATURES, *LINE)
    assert run(*line, "--resume", "false").exit_code == 0
    before = files()
    Path("out/S1_Kitchen_V1.txt").unlink()
    told = run(*line, "--resume")
    assert told.exit_code == 0, told.stderr
    assert "8 videos written to out (7 were already there)" in told.stderr
    after = files()
    assert after.pop("predictions.jsonl") != before.pop("predictions.jsonl")
    assert after == before
    assert "(8 were already there)" in run(*line, "--resume", "true").stderr


def test_little_memory_changes_nothing_but_the_tiles(
    run: Run, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("predict", "--model", str(model), *FEATURES, "--device", "cpu")
    assert run(*line, "--output", "whole", "--max-memory", "").exit_code == 0
    monkeypatch.setattr(tiling, "_SMALLEST", 1)
    monkeypatch.setattr(tiling, "BLOCK_FRAMES", 1)
    monkeypatch.setattr(tiling, "resident_memory", lambda: 0)
    frame = tiling.BUFFERS * 4 * 4 + 16 * 4 * 4 + 8 * 5 * 4
    memory = tiling._OVERHEAD + 20 * frame
    told = run(*line, "--output", "tiled", "--max-memory", f"{memory}")
    assert told.exit_code == 0, told.stderr
    assert files("whole") == files("tiled")


SCRIPT = """
import sys, time
from pathlib import Path
from g2l.inference import sessions
from g2l.tracking.process import Upload
slow = sessions.OnnxSession.probabilities
def probabilities(session, features):
    time.sleep(0.05)
    return slow(session, features)
sessions.OnnxSession.probabilities = probabilities
Upload.start = lambda upload, folder: None
from cli.main import main
main()
"""


def killed(line: tuple[str, ...], number: int) -> tuple[int, str]:
    """Send a signal to a prediction that has written three videos; return its exit code and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *line],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(list(Path("out").glob("*.txt"))) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    return process.returncode, told


def test_what_is_left_of_a_kill_is_done_by_resuming(
    workdir: Path, run: Run, exported: tuple[Path, Result]
) -> None:
    for copy in range(30):
        os.link("data/tiny/features/S1_Kitchen_V1.npy", f"data/tiny/features/copy{copy:02}.npy")
    line = ("predict", "--model", str(exported[0]), *FEATURES, "--device", "cpu", "--format", "json")
    line += ("--smooth", "median", "--median-window", "5", "--probabilities")
    assert run(*line, "--output", "whole").exit_code == 0
    code, _ = killed((*line, "--output", "out"), signal.SIGKILL)
    assert code == -signal.SIGKILL
    done = {path: path.read_bytes() for path in Path("out").rglob("[!.]*") if path.is_file()}
    for path, text in done.items():
        if path.name not in ("predictions.jsonl", *RECORDS):
            assert text == (Path("whole") / path.relative_to("out")).read_bytes()
    Path("out/.copy29.txt.ab_12xyz.tmp").touch()  # if the kill came between two files
    again = run(*line, "--output", "out", "--resume")
    assert again.exit_code == 0, again.stderr
    before = int(again.stderr.split("38 videos written to out (")[1].split()[0])
    assert 2 <= before < 38
    whole, found = (
        {
            path.relative_to(top): path.read_bytes()
            for path in Path(top).rglob("*")
            if path.is_file() and path.name not in RECORDS
        }
        for top in ("whole", "out")
    )
    for each in (whole, found):
        del each[Path("predictions.jsonl")]
    assert found == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_whole_files_and_the_line_to_go_on(
    workdir: Path, run: Run, exported: tuple[Path, Result], number: int
) -> None:
    for copy in range(60):
        os.link("data/tiny/features/S1_Kitchen_V1.npy", f"data/tiny/features/copy{copy:02}.npy")
    line = ("predict", "--model", str(exported[0]), *FEATURES, *LINE)
    code, told = killed(line, number)
    assert code == 130, told
    assert "Traceback" not in told
    assert not list(Path("out").glob(".*"))
    assert not Path("out/segments.csv").exists()
    done = len(list(Path("out").glob("*.txt")))
    assert 3 <= done < 68
    (resume,) = [row for row in told.splitlines() if row.startswith("to resume: ")]
    program, *arguments = shlex.split(resume.removeprefix("to resume: "))
    assert (program, arguments) == ("g2l", [*line, "--resume"])
    again = run(*arguments)
    assert again.exit_code == 0, again.stderr
    before = int(again.stderr.split("68 videos written to out (")[1].split()[0])
    assert done - 1 <= before <= done
