"""Each command once on the tiny kitchen: what it writes, and what is in it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from command_lines import GLOBAL, LOCAL, SEARCH, SMALL, Run, refusal
from typer.testing import Result

from g2l.models.artifact import load_model, read_metadata
from g2l.structure_files import read_structure

METRICS = {"videos", "frames", "accuracy", "edit", "f1@10", "f1@25", "f1@50"}
COLUMNS = [
    "video",
    "segment",
    "label",
    "start_frame",
    "end_frame",
    "start_s",
    "end_s",
    "confidence",
    "entropy",
]
RECORDS = {"run.json", "status.json", "result.json", "manifest.json"}
FEATURES = Path("data/tiny/features")
TRUTH = Path("data/tiny/groundTruth")
CLASSES = ("background", "take_bowl", "take_plate", "pour_dressing", "pour_sauce")


def load(path: Path | str) -> dict[str, object]:
    return json.loads(Path(path).read_text())


def predicted(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.txt").read_text().splitlines()


def test_train(trained: tuple[Path, Result]) -> None:
    output, told = trained
    assert "2 seeds" in told.stdout
    assert "±" in told.stdout
    assert load(output / "result.json")["seeds"] == [0, 1]
    for seed in (0, 1):
        folder = output / f"seed-{seed}"
        assert (folder / "last.ckpt").stat().st_size > 0
        metrics = load(folder / "metrics.json")
        assert metrics.keys() == METRICS
        assert metrics["videos"] == 3
        metadata = read_metadata(folder / "model.safetensors")
        assert metadata.classes == CLASSES
        assert (metadata.seed, metadata.feature_dim, metadata.fps) == (seed, 4, 15)
        assert metadata.structure.stages == ((1, 2),)
        assert len(metadata.mean) == 4
        assert metadata.metrics["test/edit"] == metrics["edit"]


def test_search_global_for_shapes(run: Run) -> None:
    line = ("search-global", *SMALL, "--executor", "serial", "--budget", "9", "--shapes", "1")
    told = run(*line, "--dry-run")
    assert told.exit_code == 0, told.stderr
    assert "A search of 9.0 full trainings is likely to show differences of" in told.stdout
    told = run(*line, "--output-dir", "shapes")
    assert told.exit_code == 0, told.stderr
    assert "is likely to show" in told.stderr
    assert "shapes · best" in told.stderr
    for text in (
        "Shapes against hand-designed",
        "1×2 (hand-designed)",
        "Winner: ",
        "Best length",
        "of at most 9.0",
    ):
        assert text in told.stdout
    assert read_structure(Path("shapes/structure.json")).structure.shape in {(1,), (2,)}
    assert load("shapes/tables/shapes.json")["data"]


def test_search_global_then_local_then_train(run: Run) -> None:
    told = run(*GLOBAL, "--output-dir", "global")
    assert told.exit_code == 0, told.stderr
    for text in (
        "Cost",
        "expected",
        "evaluations",
        "generation 0 · best",
        "results: global",
    ):
        assert text in told.stderr
    for text in (
        "The best structures",
        "winner",
        "hand-designed",
        "Winner: ",
        "of at most 24.0 full trainings",
    ):
        assert text in told.stdout
    coarse = read_structure(Path("global/structure.json"))
    assert coarse.backbone == "ms-tcn"
    assert coarse.structure.shape == (2,)
    assert coarse.provenance["search"] == "global"
    assert Path("global/journal.jsonl").read_text().count("\n") > 2
    kept = list(Path("global/candidates").glob("*/model.safetensors"))
    assert len(kept) == load("global/result.json")["evaluations"]
    told = run(
        "search-local", *SMALL, *LOCAL, "--structure", "global/structure.json", "--output-dir", "local"
    )
    assert told.exit_code == 0, told.stderr
    found = read_structure(Path("local/structure.json"))
    assert found.provenance["start"] == coarse.structure.as_lists()
    _, metadata = load_model(Path("local/model.safetensors"))
    assert metadata.structure == found.structure
    told = run("train", *SMALL, "--structure", "local/structure.json", "--output-dir", "train")
    assert told.exit_code == 0, told.stderr
    assert "searched" in told.stdout
    assert read_metadata(Path("train/seed-0/model.safetensors")).structure == found.structure


def test_a_dry_run_tells_the_cost_and_writes_nothing(run: Run) -> None:
    before = sorted(Path().rglob("*"))
    told = run("search-global", *SMALL, "--epochs", "20", "--dry-run")
    assert told.exit_code == 0, told.stderr
    for text in ("search", "5.0", "is likely to show", "A full training is 60 steps."):
        assert text in told.stdout
    assert sorted(Path().rglob("*")) == before
    paper = run("search-global", *SMALL, "--preset", "paper", "--epochs", "5", "--dry-run", "--quiet")
    assert "race" not in paper.stdout
    assert paper.stderr == ""


def test_candidates_may_be_forgotten(run: Run) -> None:
    line = (*GLOBAL, "--candidate-checkpoints")
    assert run(*line, "none", "--output-dir", "none").exit_code == 0
    assert not Path("none/candidates").exists()
    told = run(*line, "elite", "--output-dir", "elite", "--seed", "1")
    assert told.exit_code == 0, told.stderr
    assert (
        len(list(Path("elite/candidates").glob("*/model.safetensors"))) <= 4
    )  # the race: three and the hand-designed one


def test_pipeline(run: Run) -> None:
    told = run("pipeline", *SMALL, *SEARCH, *LOCAL, "--output-dir", "out")
    assert told.exit_code == 0, told.stderr
    for text in ("hand-designed", "searched", "receptive field", "search cost", "trainings"):
        assert text in told.stdout
    assert "model: out/model.onnx · predictions: out/predictions" in told.stderr
    summary = load("out/summary.json")
    assert summary.keys() == {"hand-designed", "searched", "difference", "contest", "costs"}
    if summary["searched"]["structure"] != summary["hand-designed"]["structure"]:
        said = summary["difference"]["f1"]["words"]
        assert f"Searched against hand-designed, mean F1: {said}." in told.stdout
        assert said.startswith(("better by", "worse by", "equal within", "undecided ("))
    assert read_structure(Path("out/structure.json")).structure.as_lists() == summary["searched"]["structure"]
    tested = [
        name.removesuffix(".txt") for name in Path("data/tiny/splits/test.split1.bundle").read_text().split()
    ]
    assert sorted(path.stem for path in Path("out/predictions").glob("*.txt")) == sorted(tested)
    assert load("out/predictions/metrics.json")["videos"] == len(tested)
    # Finished stages are not repeated.
    before = Path("out/train-hand-designed/seed-0/last.ckpt").stat().st_mtime_ns
    again = run("pipeline", *SMALL, *SEARCH, *LOCAL, "--output-dir", "out", "--resume")
    assert again.exit_code == 0, again.stderr
    assert again.stdout == told.stdout
    assert Path("out/train-hand-designed/seed-0/last.ckpt").stat().st_mtime_ns == before


def test_export(exported: tuple[Path, Result]) -> None:
    import onnx

    path, told = exported
    assert f"{path}: opset " in told.stderr
    assert "% of labels agree" in told.stderr
    assert told.stdout == ""
    assert [item.name for item in path.parent.iterdir()] == ["model.onnx"]
    content = onnx.load(path)
    assert [value.name for value in content.graph.input] == ["features"]
    assert json.loads(content.metadata_props[0].value)["classes"] == list(CLASSES)


@pytest.mark.parametrize("kind", ["onnx", "safetensors"])
def test_predict_a_folder(run: Run, model: Path, exported: tuple[Path, Result], kind: str) -> None:
    file = exported[0] if kind == "onnx" else model
    options = ("--format", "mstcn", "--probabilities", "--plots", "png")
    line = (
        "predict",
        "--model",
        str(file),
        "--features",
        str(FEATURES),
        "--output",
        "out",
        "--device",
        "cpu",
    )
    told = run(*line, "--ground-truth", str(TRUTH), *options)
    assert told.exit_code == 0, told.stderr
    assert "frames by class" in told.stdout
    assert "running on cpu by " in told.stderr
    out = Path("out")
    names = sorted(path.stem for path in FEATURES.iterdir())
    expected = {f"{name}{suffix}" for name in names for suffix in ("", ".txt", ".png", ".probabilities.npy")}
    expected |= {*RECORDS, "segments.csv", "metrics.json", "evaluation.json", "predictions.jsonl"}
    assert {path.name for path in out.iterdir()} == expected
    assert load("out/metrics.json").keys() == METRICS
    rows = list(csv.DictReader((out / "segments.csv").open()))
    assert list(rows[0]) == COLUMNS
    for name in names:
        frames = np.load(FEATURES / f"{name}.npy").shape[1]
        labels = predicted(out, name)
        probabilities = np.load(out / f"{name}.probabilities.npy")
        assert probabilities.shape == (5, frames)
        assert labels == [CLASSES[index] for index in probabilities.argmax(axis=0)]
        segments = [row for row in rows if row["video"] == name]
        lengths = [int(row["end_frame"]) - int(row["start_frame"]) for row in segments]
        assert np.repeat([row["label"] for row in segments], lengths).tolist() == labels
        assert float(segments[-1]["end_s"]) == pytest.approx(frames / 15, abs=1e-3)
    told = run("evaluate", "--predictions", "out", "--ground-truth", str(TRUTH), "--json")
    assert json.loads(told.stdout) == load("out/metrics.json")


def test_evaluate(run: Run) -> None:
    Path("out").mkdir()
    for path in TRUTH.iterdir():
        lines = path.read_text().splitlines()
        Path("out", path.name).write_text("\n".join(["background"] * 3 + lines[3:]))
    line = ("evaluate", "--predictions", "out", "--ground-truth", str(TRUTH))
    shown = run(*line)
    assert shown.exit_code == 0
    assert "all videos" in shown.stdout
    assert "take_plate" in shown.stdout
    assert shown.stderr == ""
    everything = json.loads(run(*line, "--json").stdout)
    assert everything.keys() == METRICS
    assert everything["videos"] == 8
    assert everything["accuracy"] > 90
    bundle = "data/tiny/splits/test.split1.bundle"
    told = run(*line, "--bundle", bundle, "--json", "--output", "new/metrics.json")
    assert json.loads(told.stdout)["videos"] == 3
    assert load("new/metrics.json") == json.loads(told.stdout)
    other = json.loads(run(*line, "--convention", "g2l", "--background", "", "--json").stdout)
    assert other["accuracy"] == everything["accuracy"]
    assert "`--convention` must be one of mstcn, g2l" in refusal(run(*line, "--convention", "tcn"))
    compared = run(*line, "--compare", "out")
    assert "Mean F1 of A against B: equal within ±1.0" in compared.stdout
    comparison = json.loads(run(*line, "--compare", "out", "--json").stdout)["comparison"]
    assert comparison["metrics"]["edit"]["verdict"] == "equal"
    Path("out", Path(bundle).read_text().split()[0]).unlink()
    message = refusal(run(*line, "--bundle", bundle))
    assert "error: out: expected the prediction of every requested video" in message


def test_demo_composes_the_pipeline(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = []

    def run_pipeline(context, task):
        tasks.append(task)
        raise KeyboardInterrupt

    monkeypatch.setattr("g2l.pipeline.pipeline.run_pipeline", run_pipeline)
    told = run("demo", "--output-dir", "out", "--device", "cpu")
    assert told.exit_code == 130
    assert "to resume: g2l demo --device cpu --output-dir out --resume" in told.stderr
    assert tasks[0].data.data_root == Path("out/data")
    assert (Path("out/data/lags/splits/train.split1.bundle")).is_file()
