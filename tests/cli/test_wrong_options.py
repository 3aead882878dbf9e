"""Wrong options: one line, exit code 2, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_lines import DATA, GLOBAL, SEARCH, SMALL, TRAIN, Run, refusal

PIPELINE = ("pipeline", *SMALL, *SEARCH)


def wrote(workdir: Path) -> set[str]:
    return {path.name for path in workdir.iterdir()} - {"data"}


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ((*TRAIN, "--device", "gpu"), ["`--device` must be one of auto, cpu, cuda, but is 'gpu' instead."]),
        ((*GLOBAL, "--device", "gpu"), ["`--device` must be one of auto, cpu, cuda, but is 'gpu' instead."]),
        ((*TRAIN, "--backbone", "tcn"), ["`backbone` must be a known name", "'tcn'", "ms-tcn"]),
        ((*TRAIN, "--backbone", "no_such:thing"), ["`backbone` 'no_such:thing' cannot be imported"]),
        ((*TRAIN, "--preset", "slow"), ["`--preset` must be one of", "paper", "'slow'"]),
        (
            (*TRAIN, "--epochs", "0", "--batch-size", "0", "--learning-rate", "nan"),
            [
                "`--epochs` must be >= 1, but is 0",
                "`--batch-size` must be >= 1",
                "`--learning-rate` must be > 0",
            ],
        ),
        ((*TRAIN, "--stages", "0", "--layers", "0"), ["`--stages` must be >= 1", "`--layers` must be >= 1"]),
        (
            (*TRAIN, "--split", "-1", "--sample-rate", "0", "--holdout-fraction", "1"),
            [
                "`--split` must be >= 0",
                "`--sample-rate` must be >= 1",
                "`--holdout-fraction` must be in (0, 1)",
            ],
        ),
        ((*TRAIN, "--split", "one"), ["`--split` must be an integer, but is 'one' instead."]),
        ((*TRAIN, "--seeds", "0"), ["`--seeds` must be >= 1, but is 0 instead."]),
        ((*TRAIN, "--seed", "-1"), ["`--seed` must be >= 0 and <= 2147483647, but is -1 instead."]),
        ((*TRAIN, "--seed", str(2**70)), ["`--seed` must be", f"but is {2**70} instead."]),
        (
            (*TRAIN, "--normalize", "all"),
            ["`--normalize` must be one of none, video, train, but is 'all'"],
        ),
        ((*TRAIN, "--dataset", "../tiny"), ["`--dataset` must be a folder name", "'../tiny'"]),
        ((*TRAIN, "--dataset", "tyny"), ["error: data/tyny: no such data set.", "tiny"]),
        ((*TRAIN, "--data-root", "dat"), ["error: dat: no such folder of data sets.", "--data-root"]),
        (
            (*TRAIN, "--split", "9"),
            ["data/tiny/splits/train.split9.bundle: no such bundle", "splits of this data set: 1, 2."],
        ),
        ((*TRAIN, "--background", "stir"), ["`background` must name classes", "'stir'", "take_bowl"]),
        ((*TRAIN, "--group-pattern", "("), ["`group_pattern`", "'('"]),
        ((*TRAIN, "--structure", "s.json"), ["give either --structure FILE or --hand-designed."]),
        (("train", *SMALL), ["give either --structure FILE or --hand-designed."]),
        (("search-local", *SMALL), ["give either --structure FILE or --hand-designed."]),
        (("train", *SMALL, "--structure", "s.json"), ["error: s.json: no such file."]),
        ((*GLOBAL, "--proxy-epochs", "1"), ["give --proxy-epochs or --proxy-steps, not both."]),
        ((*PIPELINE, "--proxy-epochs", "1"), ["give --proxy-epochs or --proxy-steps, not both."]),
        (
            ("search-local", *SMALL, "--hand-designed", "--interval-epochs", "1", "--interval-steps", "1"),
            ["give --interval-epochs or --interval-steps, not both."],
        ),
        ((*GLOBAL, "--budget", "1"), ["the budget of the search must pay for two candidates of 4 steps"]),
        ((*PIPELINE, "--budget", "0.5"), ["the budget of the search must pay for two candidates of 4 steps"]),
        (
            (*GLOBAL, "--space", "shapes", "--budget", "0.1"),
            ["the budget of the search must pay for a pair of trainings", "raise --budget"],
        ),
        (
            (*GLOBAL, "--space", "shapes", "--shapes", "8,,5"),
            ["`shapes` must hold layers per stage", "'8,,5'"],
        ),
        ((*GLOBAL, "--proxy-steps", "0"), ["`--proxy-steps` must be >= 1, but is 0 instead."]),
        ((*GLOBAL, "--workers", "4"), ["`--workers` must be 1 with --executor serial, but is 4 instead."]),
        ((*GLOBAL, "--workers", "0"), ["`--workers` must be 1 with --executor serial, but is 0 instead."]),
        ((*GLOBAL, "--ray-address", "auto"), ["`--ray-address` must be left out unless `--executor` is ray"]),
        ((*GLOBAL, "--gpus-per-candidate", "1"), ["`--gpus-per-candidate` must be left out unless"]),
        (
            (*GLOBAL, "--executor", "ray", "--ray-address", "127.0.0.1:9", "--workers", "2"),
            ["give --ray-address, whose cluster has its own size, or --workers, not both."],
        ),
        (
            (*GLOBAL, "--executor", "ray", "--gpus-per-candidate", "-1"),
            ["`--gpus-per-candidate` must be >= 0 and finite, but is -1.0 instead."],
        ),
        (
            (*GLOBAL, "--population", "1", "--fitness", "best"),
            ["`--population` must be >= 2, but is 1", "`--fitness` must be one of", "'best'"],
        ),
        (
            ("search-local", *SMALL, "--hand-designed", "--expansion-rate", "1.5", "--branches", "1"),
            [
                "`--expansion-rate` must be in (0, 1], but is 1.5 instead.",
                "`--branches` must be 2 or an odd number >= 3",
            ],
        ),
        ((*TRAIN, "--resume"), ["error: runs/train/tiny-split1: there is no run to resume.", "hint: leave"]),
        ((*TRAIN, "--resume", "--output-dir", "none"), ["error: none: there is no run to resume."]),
        (
            (*TRAIN, "--output-dir", "data/tiny/mapping.txt/run"),
            ["error: data/tiny/mapping.txt/run: expected an output outside of data sets"],
        ),
        (
            (*TRAIN, "--output-dir", "data/tiny/mapping.txt"),
            ["error: data/tiny/mapping.txt: expected an output outside of data sets"],
        ),
        (("train", "--split", "1"), ["Missing option '--dataset'", "hint: `g2l train --help`"]),
        ((*TRAIN, "--sede", "1"), ["No such option: --sede", "--seed", "hint: `g2l train --help`"]),
        (("tran", *DATA), ["No such command 'tran'.", "'train'", "hint: `g2l --help`"]),
        (("data", "validat_e"), ["No such command 'validat_e'.", "'validate'", "hint: `g2l data --help`"]),
        (("evaluate", "--predictions", "a", "--ground-truth", "b"), ["error: a: no such folder."]),
        (("export", "--model", "m.onnx"), ["error: m.onnx: no such file."]),
        (("export", "--model", "data/tiny/mapping.txt"), ["does not name its classes", "--mapping"]),
        (("export", "--model", "m.onnx", "--alias", "best"), ["`--alias` needs `--register`"]),
        (("export", "--model", "runs:/x"), ["runs:/x: expected runs:/<run_id>/<path>"]),
        (
            ("structure", "convert", "a.json", "b.json", "--to", "xml"),
            ["`--to` must be one of g2l, off"],
        ),
        (
            ("structure", "show", "a.json", "--fps", "0"),
            ["`--fps` must be > 0 and finite, but is 0.0"],
        ),
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
