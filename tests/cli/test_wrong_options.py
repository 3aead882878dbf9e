"""Wrong options: one line, exit code 2, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_lines import DATA, GLOBAL, SEARCH, SMALL, TRAIN, Run, refusal

PIPELINE = ("pipeline", *SMALL, *SEARCH)
SHAPES = ("search-global", *SMALL, "--space", "shapes")


def wrote(workdir: Path) -> set[str]:
    return {path.name for path in workdir.iterdir()} - {"data"}


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ((*TRAIN, "--device", "gpu"), ["`--device` must be one of auto, cpu, cuda, but is 'gpu' instead."]),
        ((*TRAIN, "--backbone", "no_such:thing"), ["`backbone` 'no_such:thing' cannot be imported"]),
        (
            (*TRAIN, "--epochs", "0", "--learning-rate", "nan", "--preset", "slow"),
            ["`--epochs` must be >= 1", "`--learning-rate`", "'slow'"],
        ),
        ((*TRAIN, "--seed", str(2**70)), ["`--seed` must be", f"but is {2**70} instead."]),
        ((*TRAIN, "--seed", "9" * 400), ["`--seed` must be"]),
        ((*TRAIN, "--dataset", "../tiny"), ["`--dataset` must be a folder name", "'../tiny'"]),
        ((*TRAIN, "--dataset", "tyny"), ["error: data/tyny: no such data set.", "tiny"]),
        ((*TRAIN, "--split", "one"), ["`--split` must be a fold", "'one'"]),
        ((*TRAIN, "--split", "9"), ["data/tiny/splits/train.split9.bundle: no such bundle", "1, 2."]),
        ((*TRAIN, "--background", "stir"), ["`background` must name classes", "'stir'", "take_bowl"]),
        ((*TRAIN, "--group-pattern", "("), ["`group_pattern`", "'('"]),
        (("search-local", *SMALL), ["give either --structure FILE or --hand-designed."]),
        (("train", *SMALL, "--structure", "s.json"), ["error: s.json: no such file."]),
        ((*PIPELINE, "--proxy-epochs", "1"), ["give --proxy-epochs or --proxy-steps, not both."]),
        ((*GLOBAL, "--budget", "1"), ["the budget of the search must pay for two candidates of 4 steps"]),
        (
            (*SHAPES, "--budget", "0.1"),
            ["the budget of the search must pay for a pair of trainings", "raise --budget"],
        ),
        (
            (*SHAPES, "--shapes", "8,,5"),
            ["`shapes` must hold layers per stage", "'8,,5'"],
        ),
        (
            (*GLOBAL, "--space", "shapes"),
            ["`--population`", "`--proxy-epochs`/`--proxy-steps`", "needs `--space rates`", "is shapes"],
        ),
        ((*GLOBAL, "--max-epochs", "3"), ["`--max-epochs` needs `--space shapes`", "is rates"]),
        (
            (*SHAPES, "--strategy", "random", "--prefer", "cheapest"),
            ["`--strategy` needs `--space rates`", "is shapes"],
        ),
        (
            (*SHAPES, "--layers", "1"),
            ["1×1 layers", "there is no smaller one", "--space rates"],
        ),
        ((*GLOBAL, "--workers", "4"), ["`--workers` must be 1 with --executor serial, but is 4 instead."]),
        ((*GLOBAL, "--ray-address", "auto"), ["`--ray-address` needs `--executor` ray, but it is serial"]),
        ((*TRAIN, "--resume"), ["error: runs/train/tiny-split1: there is no run to resume.", "hint: leave"]),
        ((*TRAIN, "--output-dir", "data/tiny/mapping.txt"), ["expected an output outside of data sets"]),
        ((*TRAIN, "--sede", "1"), ["No such option: --sede", "--seed", "hint: `g2l train --help`"]),
        (("data", "validat_e"), ["No such command 'validat_e'.", "'validate'", "hint: `g2l data --help`"]),
        (("evaluate", "--predictions", "a", "--ground-truth", "b"), ["error: a: no such folder."]),
        (("export", "--model", "data/tiny/mapping.txt"), ["does not name its classes", "--mapping"]),
        (("export", "--model", "m.onnx", "--alias", "best"), ["`--alias` needs `--register`"]),
        (
            ("context", *DATA, "--model", "m.onnx", "--repeats", "3", "--epochs", "1", "--feature-maps", "4"),
            ["--repeats, options of the training, options of the backbone cannot be given with --model"],
        ),
        (("export", "--model", "runs:/x"), ["runs:/x: expected runs:/<run_id>/<path>"]),
    ],
)
def test_one_line_and_nothing_written(
    run: Run, workdir: Path, line: tuple[str, ...], parts: list[str]
) -> None:
    message = refusal(run(*line))
    for part in parts:
        assert part in message
    assert wrote(workdir) == set()


@pytest.mark.usefixtures("tracking")
@pytest.mark.parametrize(
    "line",
    [
        (*TRAIN, "--split", "9"),
        ("predict", "--model", "m.onnx", "--features", "data/tiny/features", "--output", "out"),
    ],
    ids=["train", "predict"],
)
def test_no_run_is_tracked(run: Run, workdir: Path, line: tuple[str, ...]) -> None:
    refusal(run(*line))
    assert not [path for path in workdir.rglob("*") if path.is_file() and "data" not in path.parts]


def test_cuda_without_a_gpu(run: Run, workdir: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    message = refusal(run(*TRAIN, "--device", "cuda", "--output-dir", "out"))
    assert "`device` is cuda, but torch finds no usable GPU." in message
    assert "hint: use --device auto or cpu" in message
    assert wrote(workdir) == set()


def test_a_folder_that_holds_a_run(run: Run, workdir: Path) -> None:
    assert run(*TRAIN, "--output-dir", "out").exit_code == 0
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    message = refusal(run(*TRAIN, "--output-dir", "out"))
    assert "error: out: already holds a train run." in message
    assert "hint: add --resume to continue it" in message
    message = refusal(run(*TRAIN, "--output-dir", "out", "--resume", "--epochs", "3", "--background", ""))
    assert "`data.background` was ['background'] and is [], `recipe.epochs` was 1 and is 3." in message
    message = refusal(run(*GLOBAL, "--output-dir", "out", "--resume"))
    assert "out/run.json: expected a search-global run, but found 'train'." in message
    assert before == {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert run(*TRAIN, "--output-dir", "out", "--resume").exit_code == 0


def test_outputs_that_are_folders_or_lie_below_files(run: Run, workdir: Path) -> None:
    truths = ("evaluate", "--predictions", "data/tiny/groundTruth", "--ground-truth", "data/tiny/groundTruth")
    Path("s.json").write_text('{"schema": "g2l.structure/1", "stages": [[1, 2]]}')
    for line in (
        (*truths, "--output", "data"),
        (*truths, "--output", "data/tiny/mapping.txt/m.json"),
        ("structure", "convert", "s.json", "data"),
        ("structure", "convert", "s.json", "data/tiny/mapping.txt/s.json"),
    ):
        message = refusal(run(*line))
        assert "data" in message
        assert "directory" in message or "output folder" in message
