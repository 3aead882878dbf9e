"""No command writes into a data set, or over files that g2l did not write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_lines import TRAIN, Run, refusal

FEATURES = ("--features", "data/tiny/features")


def content(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("folder", ["data/tiny/groundTruth", "data/tiny", "data/tiny/new"])
def test_a_data_set_is_no_output_folder(run: Run, model: Path, folder: str) -> None:
    before = content("data")
    lines = [
        (*TRAIN, "--output-dir", folder),
        ("predict", "--model", str(model), *FEATURES, "--output", folder, "--overwrite"),
        ("export", "--model", str(model), "--output", f"{folder}/model.onnx"),
    ]
    for line in lines:
        assert "expected an output outside of data sets" in refusal(run(*line))
    assert content("data") == before


def test_predictions_are_replaced_only_when_asked_for(run: Run, model: Path) -> None:
    line = ("predict", "--model", str(model), *FEATURES, "--output", "out", "--device", "cpu")
    assert run(*line, "--format", "srt").exit_code == 0
    before = content("out")
    assert "already holds a predict run" in refusal(run(*line))
    assert content("out") == before
    told = run(*line, "--overwrite")
    assert told.exit_code == 0, told.stderr
    assert not list(Path("out").glob("*.srt"))


def test_foreign_files_stay(run: Run, model: Path) -> None:
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    line = ("predict", "--model", str(model), *FEATURES, "--output", "out")
    for options in ((), ("--overwrite",), ("--resume",)):
        assert "it holds notes.txt" in refusal(run(*line, *options))
    assert content("out") == {"out/notes.txt": b"mine"}


def test_files_of_one_command_are_not_replaced_by_another(run: Run, trained: tuple[Path, object]) -> None:
    Path("mine").write_text("mine")
    folder = str(trained[0])
    scores = ("evaluate", "--predictions", "data/tiny/groundTruth", "--ground-truth", "data/tiny/groundTruth")
    for line in ((*scores, "--output", "mine"), ("report", folder, "--output", "mine")):
        assert "mine: exists, and was not written by this command" in refusal(run(*line))
    assert Path("mine").read_text() == "mine"
    for line in ((*scores, "--output", "scores.json"), ("report", folder, "--output", "page.html")):
        for _ in range(2):  # their own they replace
            told = run(*line)
            assert told.exit_code == 0, told.stderr
    assert json.loads(Path("scores.json").read_text())["accuracy"] == 100


def test_the_working_directory_may_be_read_only(run: Run, workdir: Path, tmp_path_factory) -> None:
    output = tmp_path_factory.mktemp("elsewhere") / "out"
    before = content(".")
    workdir.chmod(0o555)
    try:
        told = run(*TRAIN, "--output-dir", str(output))
    finally:
        workdir.chmod(0o755)
    assert told.exit_code == 0, told.stderr
    assert (output / "seed-0" / "model.safetensors").exists()
    assert content(".") == before
