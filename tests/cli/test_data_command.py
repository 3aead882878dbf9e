from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner, Result

from cli import console
from cli.main import app


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "_quiet", False)  # whatever a test before this one asked for
    return tmp_path


def g2l(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["data", *arguments])


@pytest.fixture
def source(workplace: Path) -> Path:
    (workplace / "i3d").mkdir()
    for subject, frames in ((1, 20), (2, 25), (3, 30)):
        np.save(workplace / "i3d" / f"S{subject}_A.npy", np.ones((frames, 4)) * np.arange(frames)[:, None])
    rows = "S1_A,cut,0,9\nS2_A,stir,3,9\nS3_A,cut,4,30\n"
    (workplace / "rows.csv").write_text("video,class,start,end\n" + rows)
    return workplace


CONVERT = ("convert", "--features", "i3d", "--segments", "rows.csv", "--dataset", "mine")


def test_synth_validate_and_the_next_command(workplace: Path) -> None:
    made = g2l("synth", "--dataset", "my data", "--videos", "6", "--frames", "60", "--classes", "6")
    assert made.exit_code == 0
    assert "data/my data: 6 videos" in made.stderr
    assert "g2l pipeline --data-root data --dataset 'my data' --split 1" in made.stderr
    assert made.stdout == ""
    checked = g2l("validate", "--dataset", "my data")
    assert checked.exit_code == 0
    for text in ("longest video", "feature_dim", "split 2", "frames by class", "take_bowl"):
        assert text in checked.stdout
    assert "data/my data: no errors." in checked.stderr


def test_synth_is_a_function_of_its_seed(workplace: Path) -> None:
    for root, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        options = ("--videos", "3", "--frames", "80", "--kind", "lags", "--lags", "9, 3")
        assert g2l("synth", "--data-root", root, "--dataset", "x", "--seed", seed, *options).exit_code == 0
    first, same, other = (Path(root, "x", "features", "S1_Lags_V1.npy").read_bytes() for root in "abc")
    assert first == same
    assert first != other
    assert len(Path("a/x/mapping.txt").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--kind", "lags", "--classes", "4"), "`--classes` needs `--kind` kitchen"),
        (("--lags", "41"), "`--lags` needs `--kind` lags, but it is kitchen"),
        (("--kind", "lags", "--lags", "41,x"), "`--lags` must be numbers separated by commas, such as 41,7"),
        (("--kind", "lags", "--lags", "0"), "`lags` must be 1 to 6 different integers >= 1"),
        (("--videos", "1"), "`videos` must be >= 3, but is 1 instead."),
        (("--seed", "-1"), "--seed"),
    ],
)
def test_synth_refuses_in_one_line(workplace: Path, options: tuple[str, ...], message: str) -> None:
    refused = g2l("synth", "--dataset", "x", *options)
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert refused.stderr.count("error:") == 1
    assert not Path("data").exists()


def test_validate_prints_every_fault(workplace: Path) -> None:
    g2l("synth", "--dataset", "x", "--videos", "6", "--frames", "60")
    path = Path("data/x/groundTruth/S1_Kitchen_V1.txt")
    path.write_text("nonsense\n" + path.read_text().partition("\n")[2])
    Path("data/x/splits/train.split2.bundle").unlink()
    checked = g2l("validate", "--dataset", "x")
    assert checked.exit_code == 2
    assert f"error: {path}:1: class 'nonsense' is not in the mapping." in checked.stderr
    assert "train.split2.bundle: no such bundle" in checked.stderr
    assert "error: data/x: 2 errors" in checked.stderr
    assert "split 1" in checked.stdout


def test_validate_forgives_warnings(workplace: Path) -> None:
    g2l("synth", "--dataset", "x", "--videos", "6", "--frames", "60")
    path = Path("data/x/features/S1_Kitchen_V1.npy")
    np.save(path, np.load(path)[:, :-2])
    checked = g2l("validate", "--dataset", "x")
    assert checked.exit_code == 0
    assert f"warning: {path}: has " in checked.stderr


def test_validate_as_json(workplace: Path) -> None:
    g2l("synth", "--dataset", "x", "--videos", "6", "--frames", "60")
    Path("data/x/features/S1_Kitchen_V1.npy").write_bytes(b"")
    checked = g2l("validate", "--dataset", "x", "--json")
    report = json.loads(checked.stdout)
    assert checked.exit_code == 2
    assert report["videos"] == 5
    assert report["splits"]["1"] == {"train": 4, "test": 2}
    assert report["classes"] == len(report["class_frames"]) == 10
    broken = report["issues"][0]
    assert (broken["severity"], broken["path"]) == ("error", "data/x/features/S1_Kitchen_V1.npy")


def test_convert_then_validate(source: Path) -> None:
    made = g2l(*CONVERT, "--background", "idle")
    assert made.exit_code == 0, made.stderr
    assert "frames that no segment covers, taken as 'idle': 34." in made.stderr
    assert "try: g2l data validate --data-root data --dataset mine" in made.stderr
    assert Path("data/mine/mapping.txt").read_text() == "0 idle\n1 cut\n2 stir\n"
    assert g2l("validate", "--dataset", "mine").exit_code == 0
    again = g2l(*CONVERT)
    assert again.exit_code == 2
    assert "data/mine: already exists." in again.stderr


def test_a_dry_run_writes_nothing(source: Path) -> None:
    planned = g2l(*CONVERT, "--dry-run")
    assert planned.exit_code == 0
    assert "2 train, 1 test" in planned.stdout
    assert "nothing was written" in planned.stderr
    assert not Path("data").exists()


def test_convert_prints_every_fault(source: Path) -> None:
    with Path("rows.csv").open("a") as rows:
        rows.write("S1_A,cut,5,7\nS4_A,cut,0,9\n")
    refused = g2l(*CONVERT)
    assert refused.exit_code == 2
    assert "error: rows.csv:5: segments must not overlap" in refused.stderr
    assert "error: rows.csv:6: video 'S4_A' has no features in i3d." in refused.stderr
    assert "error: data/mine: not made; 2 errors." in refused.stderr
    assert not Path("data").exists()


def test_convert_takes_features_and_labels_from_matlab(source: Path) -> None:
    Path("mat").mkdir()
    for video in (1, 2, 3):
        frames = 10 + video
        savemat(f"mat/S{video}_A.mat", {"X": np.eye(frames, 4), "S": np.eye(frames, 9), "Y": np.ones(frames)})
    Path("names.txt").write_text("0 idle\n1 cut\n")
    line = ("convert", "--features", "mat", "--mapping", "names.txt", "--dataset")
    assert g2l(*line, "dry", "--dry-run").exit_code == 0
    assert not Path("data").exists()
    assert g2l(*line, "mine").exit_code == 0
    assert Path("data/mine/mapping.txt").read_text() == "0 idle\n1 cut\n"
    assert Path("data/mine/groundTruth/S2_A.txt").read_text() == "cut\n" * 12
    assert np.load("data/mine/features/S2_A.npy").shape == (4, 12)
    assert g2l(*line, "sensors", "--variable", "S").exit_code == 0
    assert np.load("data/sensors/features/S2_A.npy").shape == (9, 12)
