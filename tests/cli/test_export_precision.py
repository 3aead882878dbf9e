"""`g2l export` to fp16 and int8: what is said, what is refused, and that `g2l predict` takes the files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_lines import Run, refusal
from typer.testing import Result

FEATURES = ("--calibration", "data/tiny/features")


def metadata_of(path: str) -> dict:
    return json.loads(onnx.load(path).metadata_props[0].value)


def test_int8_is_measured_kept_and_predicted_with(
    run: Run, model: Path, exported: tuple[Path, Result]
) -> None:
    line = ("export", "--model", str(model), "--output", "int8.onnx", "--precision", "int8", *FEATURES)
    told = run(*line, "--ground-truth", "data/tiny/groundTruth", "--force")
    assert told.exit_code == 0, told.stderr
    found = metadata_of("int8.onnx")["precision"]
    frames = sum(np.load(path).shape[1] for path in Path("data/tiny/features").iterdir())
    assert (found["precision"], found["inputs"], found["frames"]) == ("int8", "videos", frames)
    share = 100 * Path("int8.onnx").stat().st_size / exported[0].stat().st_size
    assert found["size"] == pytest.approx(share, rel=0.1)  # but for what is said of the comparison
    assert f"int8 against fp32 on 8 videos ({frames} frames)" in told.stderr
    for name in (
        "labels kept",
        "F1 against segments of fp32",
        "change of F1 against the ground truth",
        "size of the file",
    ):
        assert name in told.stderr
    assert ("limits missed" in told.stderr) is found["forced"]
    told = run("predict", "--model", "int8.onnx", "--features", "data/tiny/features", "--output", "out")
    assert told.exit_code == 0, told.stderr
    assert len(list(Path("out").glob("*.txt"))) == 8


def test_fp16_without_features_says_what_it_was_compared_on(run: Run, model: Path) -> None:
    told = run("export", "--model", str(model), "--output", "half.onnx", "--precision", "fp16")
    assert told.exit_code == 0, told.stderr
    assert "fp16 against fp32 on random numbers, not on real features" in told.stderr
    assert metadata_of("half.onnx")["precision"]["inputs"] == "random"


def test_what_falls_short_is_refused_and_leaves_nothing(run: Run, model: Path) -> None:
    Path("huge").mkdir()
    for path in Path("data/tiny/features").iterdir():
        np.save(Path("huge", path.name), np.load(path) * np.float32(1e9))
    line = ("export", "--model", str(model), "--output", "half.onnx", "--precision", "fp16")
    told = run(*line, "--calibration", "huge")
    assert told.exit_code == 1
    (error,) = (text for text in told.stderr.splitlines() if text.startswith("error: "))
    assert error.startswith("error: half.onnx: the fp16 model keeps 0.0 % of the labels of fp32")
    assert "where 99 % are needed" in error
    assert error.endswith("; nothing was written.")
    assert not list(Path().glob("*half.onnx*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--precision", "int8"), "`--precision` int8 needs `--calibration`"),
        (("--precision", "int4", *FEATURES), "`--precision` must be one of fp32, fp16, int8, but is 'int4'"),
        (("--quantize", "int8"), "No such option: --quantize"),
        (FEATURES, "`--calibration` needs `--precision` fp16 or int8"),
        (("--force",), "`--force` needs `--precision` fp16 or int8"),
        (("--ground-truth", "data/tiny/groundTruth"), "`--ground-truth` needs `--precision` fp16 or int8"),
        (("--precision", "fp16", "--ground-truth", "none"), "`--ground-truth` needs `--calibration`"),
        (("--precision", "fp16", "--calibration", "none"), "none: no such file or folder."),
        (("--precision", "int8", *FEATURES, "--ground-truth", "none"), "none: no such folder."),
    ],
)
def test_options_that_do_not_go_together(
    run: Run, model: Path, options: tuple[str, ...], message: str
) -> None:
    assert message in refusal(run("export", "--model", str(model), *options))
    assert not Path("model.onnx").exists()
