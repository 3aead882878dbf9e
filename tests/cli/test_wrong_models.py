"""Models and features that do not belong together, and predictions that cannot be made."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_lines import Run, refusal
from safetensors.torch import load_file
from typer.testing import Result

from g2l.inference.sessions import open_session

FEATURES = ("--features", "data/tiny/features")
OUTPUT = ("--output", "out")


@pytest.fixture
def official(workdir: Path, model: Path) -> str:
    """The weights as the official code saves them."""
    torch.save(load_file(model), "epoch-1.model")
    return "epoch-1.model"


def nothing_written() -> bool:
    return not Path("out").exists() or not list(Path("out").iterdir())


def test_features_of_another_dimension(run: Run, model: Path) -> None:
    Path("wide").mkdir()
    np.save("wide/a.npy", np.zeros((6, 50), np.float32))
    message = refusal(run("predict", "--model", str(model), "--features", "wide", *OUTPUT))
    assert message == (
        "error: wide/a.npy: expected feature_dim 4, but its shape is 6 × 50 (feature_dim × frames)."
    )
    assert nothing_written()


def test_one_bad_file_does_not_stop_the_others(run: Run, model: Path) -> None:
    np.save("a.npy", np.zeros((6, 50), np.float32))
    told = run("predict", "--model", str(model), "--features", "a.npy", *FEATURES, *OUTPUT)
    assert told.exit_code == 1
    assert "8 videos written to out" in told.stderr
    assert "warning: a.npy: expected feature_dim 4, but its shape is 6 × 50" in told.stderr
    assert "error: 1 of 9 videos could not be predicted: a." in told.stderr
    assert "hint: --resume tries them again" in told.stderr
    assert len(list(Path("out").glob("*.txt"))) == 8


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ((*FEATURES, "--ground-truth", "some"), ["error: some: expected the ground truth of every", "S2_"]),
        (("--features", "some"), ["error: some: expected feature files (.npy)"]),
        ((*FEATURES, "--output", "data/tiny/mapping.txt"), ["expected an output outside of data sets"]),
    ],
)
def test_nothing_is_predicted(run: Run, model: Path, options: tuple[str, ...], parts: list[str]) -> None:
    Path("some").mkdir()
    shutil.copy("data/tiny/groundTruth/S1_Kitchen_V1.txt", "some")
    message = refusal(run("predict", "--model", str(model), *OUTPUT, *options))
    for part in parts:
        assert part in message
    assert nothing_written()


@pytest.mark.parametrize("name", ["cut.onnx", "cut.safetensors"])
def test_a_damaged_model(run: Run, name: str, model: Path, exported: tuple[Path, Result]) -> None:
    source = exported[0] if name.endswith("onnx") else model
    Path(name).write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    message = refusal(run("predict", "--model", name, *FEATURES, *OUTPUT, "--device", "cpu"))
    assert message.startswith(f"error: {name}: ")
    assert nothing_written()


def test_official_state_dicts(run: Run, official: str) -> None:
    predict = ("predict", "--model", official, *FEATURES, *OUTPUT)
    assert "does not name its classes" in refusal(run(*predict))
    Path("four.txt").write_text("0 a\n1 b\n2 c\n3 d\n")
    message = refusal(run(*predict, "--mapping", "four.txt"))
    assert "epoch-1.model: `stage1.conv_out.weight` is of 5 classes, but 4 classes are given." in message
    Path("s.json").write_text('{"schema": "g2l.structure/1", "stages": [[1, 2, 4]]}')
    mapping = ("--mapping", "data/tiny/mapping.txt")
    message = refusal(run(*predict, *mapping, "--structure", "s.json"))
    assert "epoch-1.model: expected a structure with stages of" in message
    assert nothing_written()
    told = run(*predict, *mapping)
    assert told.exit_code == 0, told.stderr
    assert "warning: epoch-1.model: no structure is given" in told.stderr
    assert len(list(Path("out").glob("*.txt"))) == 8


def test_a_model_keeps_its_own_facts_but_for_the_frame_rate(run: Run, model: Path) -> None:
    line = ("export", "--model", str(model), "--output", "out.onnx")
    message = refusal(run(*line, "--sample-rate", "2", "--background", ""))
    assert "model.safetensors" in message
    assert "`--sample-rate`, `--background`" in message
    assert not Path("out.onnx").exists()
    assert run(*line, "--fps", "25").exit_code == 0
    assert open_session(Path("out.onnx")).metadata.fps == 25
    predict = ("predict", "--model", "out.onnx", "--features", "data/tiny/features", "--output", "out")
    assert "`--mapping`" in refusal(run(*predict, "--mapping", "data/tiny/mapping.txt"))


def test_export_refuses(run: Run, model: Path, exported: tuple[Path, Result]) -> None:
    line = ("export", "--model", str(model))
    assert "but found an exported one." in refusal(run("export", "--model", str(exported[0])))
    assert "`output` must end in .onnx" in refusal(run(*line, "--output", "model.bin"))
    assert "`opset` must be in " in refusal(run(*line, "--opset", "3"))
    message = refusal(run(*line, "--output", "data/tiny/mapping.txt/model.onnx"))
    assert "error: data/tiny/mapping.txt/model.onnx: expected an output outside of data sets" in message
    assert not list(Path().glob("*.onnx"))
