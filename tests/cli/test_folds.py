"""`--split all` and `--split 1,3` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import stdev

import pytest
from command_lines import LOCAL, SEARCH, SMALL, Run, refusal

FOLDS = {1: ("4", "5"), 2: ("6", "7")}
"""Test videos of each fold, by their place among the 8 videos."""


@pytest.fixture
def folds(workdir: Path) -> None:
    """Two folds whose train parts have four videos in common."""
    splits = Path("data/tiny/splits")
    names = sorted({line for path in splits.glob("*.split1.bundle") for line in path.read_text().split()})
    for fold, places in FOLDS.items():
        test = [names[int(place)] for place in places]
        train = [name for name in names if name not in test]
        for side, lines in (("train", train), ("test", test)):
            (splits / f"{side}.split{fold}.bundle").write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.usefixtures("folds")
def test_a_structure_is_trained_in_all_folds(run: Run) -> None:
    line = ("train", *SMALL, "--hand-designed", "--split", "all", "--search-per-fold", "false")
    assert "No such option" in refusal(run(*line))  # nothing is searched
    told = run(*line[:-2], "--output-dir", "out")
    assert told.exit_code == 0, told.stderr
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in told.stdout.splitlines() if "│" in row]
    edits = [json.loads(Path(f"out/fold-{k}/seed-0/metrics.json").read_text())["edit"] for k in FOLDS]
    assert [(row[0], row[3]) for row in rows] == [
        *((str(fold), f"{edit:.1f}") for fold, edit in zip(FOLDS, edits, strict=True)),
        ("mean", f"{sum(edits) / 2:.1f} ± {stdev(edits):.1f}"),
    ]
    assert "Fold 2 (2 of 2)." in told.stderr
    assert "train videos only (listed in folds.json)" in told.stderr


@pytest.mark.usefixtures("folds")
def test_all_videos_can_be_trained_on_without_test_videos(run: Run) -> None:
    splits = Path("data/tiny/splits")
    lines = "".join(sorted(path.read_text() for path in splits.glob("*.split1.bundle")))
    (splits / "train.split0.bundle").write_text(lines)
    (splits / "test.split0.bundle").touch()
    told = run("train", *SMALL, "--hand-designed", "--split", "0", "--output-dir", "out")
    assert told.exit_code == 0, told.stderr
    assert "no test videos" in told.stdout
    assert Path("out/seed-0/model.safetensors").is_file()
    assert json.loads(Path("out/seed-0/metrics.json").read_text()) == {}
    told = run("report", "out", "--format", "md")
    assert told.exit_code == 0, told.stderr
    assert "no test videos" in Path("out/report.md").read_text()
    told = run("train", *SMALL, "--hand-designed", "--split", "0,1", "--output-dir", "two")
    assert told.exit_code == 0, told.stderr
    assert "mean" not in told.stdout  # of fold 1 alone
    accuracy = json.loads(Path("two/fold-1/seed-0/metrics.json").read_text())["accuracy"]
    assert json.loads(Path("two/result.json").read_text())["mean"]["test/accuracy"] == accuracy
    assert "test.split0.bundle: expected test videos" in refusal(run("pipeline", *SMALL, "--split", "0"))
    told = run("search-global", *SMALL, *SEARCH, "--split", "all", "--dry-run")
    assert "Cost of a search on tiny split 1,2" in told.stdout  # all folds with test videos


@pytest.mark.usefixtures("folds")
def test_one_search_or_one_per_fold(run: Run) -> None:
    line = ("search-global", *SMALL, *SEARCH, "--split", "1,2")
    told = run(*line, "--output-dir", "once")
    assert told.exit_code == 0, told.stderr
    assert "One search for folds 1,2 sees the 4 of 8 videos" in told.stderr
    assert Path("once/structure.json").is_file()
    told = run(*line, "--search-per-fold", "--output-dir", "each")
    assert told.exit_code == 0, told.stderr
    found = json.loads(Path("each/result.json").read_text())["structures"]
    for fold in FOLDS:
        assert (
            json.loads(Path(f"each/fold-{fold}/structure.json").read_text())["stages"]
            == found[f"fold-{fold}"]
        )
    start = ("--structure", "each/fold-1/structure.json", *LOCAL)
    refused = refusal(run("search-local", *SMALL, *start, "--split", "1,2"))
    assert "each/fold-1/structure.json: was searched on split 1, which has seen 2 of the 2" in refused
    start = ("--structure", "once/structure.json", *LOCAL)
    told = run("search-local", *SMALL, *start, "--split", "all", "--output-dir", "local")
    assert told.exit_code == 0, told.stderr


@pytest.mark.usefixtures("folds")
def test_a_dry_run_covers_all_folds(run: Run) -> None:
    line = ("search-global", *SMALL, *SEARCH, "--split", "all", "--dry-run", "--search-per-fold")
    told = run(*line)
    assert told.exit_code == 0, told.stderr
    assert "Cost of a search on tiny split 1" in told.stdout
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in told.stdout.splitlines() if "│" in row]
    costs = [float(row[2]) for row in rows if row[0] == "all"]
    assert len(costs) == 2
    total = float(told.stdout.partition("All 2 folds: ")[2].partition(" full trainings")[0])
    assert total == pytest.approx(sum(costs), abs=0.1)
    told = run(*line, "false")  # as `mlflow run` passes it
    assert "Cost of a search on tiny split 1,2" in told.stdout
    assert "All 2 folds" not in told.stdout


def test_wrong_folds_are_refused_before_anything_is_written(run: Run) -> None:
    for text, reason in (
        ("1,7", "train.split7.bundle"),
        ("1,1", "each fold once"),
        ("some", "or all, but is"),
    ):
        assert reason in refusal(run("train", *SMALL, "--hand-designed", "--split", text))
    assert not Path("runs").exists()
