from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from command_lines import invoke, refusal

from tests.oracles.tiny_videos import write_encoder, write_video

EXTRACT = ("data", "extract", "--videos", "videos", "--encoder", "encoder.onnx", "--output", "features")


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    for name in ("S1_a", "S2_a"):
        write_video(tmp_path / "videos" / f"{name}.mkv", 12)
    write_encoder(tmp_path / "encoder.onnx")
    return tmp_path


def test_from_videos_to_a_data_set(videos: Path) -> None:
    told = invoke(*EXTRACT, "--mean", "0,0,0", "--std", "1,1,1", "--device", "cpu")
    assert told.exit_code == 0, told.stderr
    assert "12 at 15 per second" in told.stdout
    assert "encoder: cpu by onnxruntime." in told.stderr
    assert "try: g2l data convert --features features --segments segments.csv" in told.stderr
    Path("segments.csv").write_text("video,label,start,end\nS1_a,cut,0,6\nS2_a,stir,2,6\n")
    made = invoke(
        *("data", "convert", "--features", "features", "--segments", "segments.csv", "--dataset", "mine"),
    )
    assert made.exit_code == 0, made.stderr
    checked = invoke("data", "validate", "--dataset", "mine")
    digest = hashlib.sha256(Path("encoder.onnx").read_bytes()).hexdigest()
    assert f"encoder.onnx, SHA-256 {digest[:12]}…" in checked.stdout
    reported = json.loads(invoke("data", "validate", "--dataset", "mine", "--json").stdout)
    assert reported["extraction"]["encoder"]["sha256"] == digest
    facts = json.loads(Path("data/mine/features.json").read_text())
    assert facts == reported["extraction"]
    assert np.load("data/mine/features/S1_a.npy")[:, 1] == pytest.approx(
        [4 / 255, 248 / 255, 2 / 255], abs=1e-5
    )


def test_a_second_call_extracts_nothing_again(videos: Path) -> None:
    invoke(*EXTRACT)
    told = invoke(*EXTRACT)
    rows = [line.split() for line in told.stdout.splitlines()]
    assert ["extracted", "0"] in [[word for word in row if word.isalnum()] for row in rows]


def test_features_of_others_are_never_replaced(videos: Path) -> None:
    Path("features").mkdir()
    foreign = Path("features/S2_a.npy")
    foreign.write_bytes(b"mine")
    assert "holds S2_a.npy" in refusal(invoke(*EXTRACT))
    foreign.rename("kept.npy")
    Path("videos/S2_a.mkv").rename("S2_a.mkv")
    assert invoke(*EXTRACT).exit_code == 0
    Path("S2_a.mkv").rename("videos/S2_a.mkv")
    Path("kept.npy").rename(foreign)
    assert "S2_a.npy: would be replaced" in refusal(invoke(*EXTRACT))
    assert foreign.read_bytes() == b"mine"
    Path("data/x/groundTruth").mkdir(parents=True)
    Path("data/x/mapping.txt").write_text("0 a\n")
    assert "data set" in refusal(invoke(*EXTRACT[:-1], "data/x/features"))


def test_a_broken_video_is_named_and_the_others_are_done(videos: Path) -> None:
    whole = Path("videos/S1_a.mkv").read_bytes()
    Path("videos/S1_a.mkv").write_bytes(whole[:40])
    told = invoke(*EXTRACT)
    assert told.exit_code == 2
    assert "error: videos/S1_a.mkv: cannot be decoded (" in told.stderr
    assert "error: features: 1 error; the other videos are done." in told.stderr
    assert sorted(path.name for path in Path("features").iterdir()) == ["S2_a.npy", "features.json"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mean", "a,b"), "`--mean` must be three numbers, such as 0.5,0.5,0.5, but is 'a,b'"),
        (("--fps", "0"), "error: `--fps` must be > 0 and <= 500, but is 0.0 instead."),
        (("--output", "encoder.onnx"), "error: encoder.onnx: cannot be used as an output folder"),
        (("--encoder", "videos/S1_a.mkv"), "videos/S1_a.mkv: onnxruntime cannot load it ("),
    ],
)
def test_refusals_are_one_line(videos: Path, options: tuple[str, ...], message: str) -> None:
    assert message in refusal(invoke(*EXTRACT, "--device", "cpu", *options))
    assert not Path("features").exists()
