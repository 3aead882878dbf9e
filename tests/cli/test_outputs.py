"""What `g2l predict` writes when it is asked for more, and smoothing from the command line to the scores."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas
import pytest
from command_lines import Run, refusal
from pympi.Elan import Eaf
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import Result

from g2l.datasets.facts import write_dataset_facts

TRUTH = ("--ground-truth", "data/tiny/groundTruth")


def predict(model: Path, options: str) -> tuple[str, ...]:
    features = ("--features", "data/tiny/features", "--output", "out")
    return ("predict", "--model", str(model), *features, *shlex.split(options))


def segments() -> pandas.DataFrame:
    return pandas.read_csv("out/segments.csv")


@pytest.mark.parametrize(
    "options", ["--format json --format eaf,srt --format csv", "--format 'json, eaf,srt'"]
)
def test_formats_beside_the_table(run: Run, model: Path, options: str) -> None:
    told = run(*predict(model, options))
    assert told.exit_code == 0, told.stderr
    names = sorted(path.stem for path in Path("data/tiny/features").iterdir())
    expected = {f"{name}{suffix}" for name in names for suffix in (".txt", ".json", ".eaf", ".srt")}
    assert {path.name for path in Path("out").iterdir()} == expected | {
        "segments.csv",
        "predictions.jsonl",
        *("run.json", "status.json", "result.json", "manifest.json"),
    }
    table = segments()
    for name in names:
        rows = table[table.video == name]
        found = json.loads(Path("out", f"{name}.json").read_text())["segments"]
        for column in ("label", "start_frame", "end_s", "confidence", "entropy"):
            assert [each[column] for each in found] == rows[column].tolist()
        annotations = sorted(Eaf(f"out/{name}.eaf").get_annotation_data_for_tier("prediction"))
        assert [label for _, _, label in annotations] == rows.label.tolist()
        assert [end / 1000 for _, end, _ in annotations] == pytest.approx(rows.end_s.tolist())


def test_mlflow_sends_flags_as_values(run: Run, model: Path) -> None:
    """The parameters of `mlflow run . -e predict`, as MLproject passes them."""
    line = "--fps '' --format mstcn --probabilities false --plots '' --smooth none"
    line += " --device auto --max-memory '' --resume false"
    told = run(*predict(model, f"{line} --min-duration '' --median-window '' --transition-weight ''"))
    assert told.exit_code == 0, told.stderr
    suffixes = {path.suffix for path in Path("out").iterdir()}
    assert suffixes == {"", ".txt", ".csv", ".json", ".jsonl"}


@pytest.mark.parametrize(
    "smoothing",
    ["min-duration --min-duration 0.5s", "median --median-window 9", "viterbi --transition-weight 2"],
)
def test_smoothing_and_its_effect(run: Run, exported: tuple[Path, Result], smoothing: str) -> None:
    model = exported[0]
    assert run(*predict(model, "")).exit_code == 0
    before = segments()
    told = run(*predict(model, f"--overwrite --smooth {smoothing}"), *TRUTH)
    assert told.exit_code == 0, told.stderr
    assert [line.split()[1] for line in told.stdout.splitlines() if "smoothed " in line] == [
        "smoothed",
        "unsmoothed",
    ]
    assert len(segments()) < len(before)
    scores = json.loads(Path("out/metrics.json").read_text())
    assert scores["unsmoothed"].keys() == scores.keys() - {"unsmoothed"}
    assert scores["frames"] == scores["unsmoothed"]["frames"]
    asked = run("evaluate", "--predictions", "out", *TRUTH, "--json", "--output", "scores.json")
    assert json.loads(asked.stdout) == json.loads(Path("scores.json").read_text()) == scores
    assert "unsmoothed" in run("evaluate", "--predictions", "out", *TRUTH).stdout


@pytest.fixture
def old_model(model: Path, tmp_path: Path) -> Path:
    """A file as it was before transitions and the frame rate were known."""
    with safe_open(model, framework="pt") as file:
        value = json.loads(file.metadata()["g2l"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del value["transitions"]
    value["fps"] = None
    save_file(weights, tmp_path / "old.safetensors", metadata={"g2l": json.dumps(value)})
    return tmp_path / "old.safetensors"


def test_a_model_that_lacks_something_says_so_and_predicts_without(run: Run, old_model: Path) -> None:
    for options, message in (
        ("--smooth viterbi", "smoothing by viterbi needs the transitions between classes"),
        ("--format eaf", "format eaf needs times, but the frame rate of the model is unknown."),
        ("--format srt", "hint: give --fps."),
        ("--smooth median --median-window 1s", "1s cannot be converted to frames"),
    ):
        told = run(*predict(old_model, options))
        assert told.exit_code == 2
        assert message in told.stderr
        assert not Path("out").exists()
    told = run(*predict(old_model, "--format eaf --smooth median --median-window 1s --fps 15"))
    assert told.exit_code == 0, told.stderr
    assert segments().end_s.max() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--format pdf", "`--format` must be one of csv, json, mstcn, eaf, srt, but is 'pdf' instead."),
        ("--smooth mean", "`--smooth` must be one of none, min-duration, median, viterbi, but is 'mean'"),
        ("--min-duration 3", "`--min-duration` needs `--smooth` min-duration, but it is none"),
        ("--smooth viterbi --median-window 3", "`--median-window` needs `--smooth` median, but"),
        ("--smooth min-duration", "`--smooth` min-duration needs `--min-duration`"),
        ("--smooth median --median-window soon", "`--median-window` must be a number of frames, such as 15,"),
        ("--smooth viterbi --transition-weight -1", "`--transition-weight` must be >= 0, but is -1.0"),
    ],
)
def test_options_that_do_not_fit(run: Run, options: str, message: str) -> None:
    assert message in refusal(run(*predict(Path("none.onnx"), options)))


def test_evaluate_takes_the_background_of_the_data_set_unless_it_is_given(run: Run) -> None:
    name = Path("data/tiny/mapping.txt").read_text().splitlines()[1].split()[1]
    write_dataset_facts(Path("data/tiny"), {"background": [name]})
    line = ("evaluate", "--predictions", "data/tiny/groundTruth", *TRUTH)
    told = run(*line)
    assert told.exit_code == 0, told.stderr
    assert "background of the data set" not in told.stderr
    assert f"background of the data set is {name}" in run(*line, "--background", "background").stderr
