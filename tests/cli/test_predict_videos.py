"""`g2l predict --videos`: from videos to labels in one command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from command_lines import invoke, refusal

from g2l.config import BackboneConfig
from g2l.models.artifact import save_model
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone
from g2l.structure import DilationStructure
from tests.oracles.tiny_videos import write_encoder, write_video

LINE = ("predict", "--model", "model.safetensors", "--device", "cpu", "--output", "out")
VIDEOS = ("--videos", "videos", "--encoder", "encoder.onnx")


def write_model(feature_dim: int = 3, fps: float | None = 15.0) -> None:
    structure, backbone = DilationStructure(((1, 2),)), BackboneConfig(stages=1, layers=2, feature_maps=4)
    torch.manual_seed(0)
    network = build_backbone(backbone, structure, feature_dim=feature_dim, num_classes=2)
    metadata = ModelMetadata(
        structure=structure, backbone=backbone, classes=("cut", "stir"), feature_dim=feature_dim, fps=fps
    )
    save_model(Path("model.safetensors"), network, metadata)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two videos of 12 frames at 30 fps, an encoder of feature_dim 3 and a model of 15 features a second."""
    monkeypatch.chdir(tmp_path)
    Path("videos").mkdir()
    for name in ("a", "b"):
        write_video(Path(f"videos/{name}.mkv"), 12)
    write_encoder(Path("encoder.onnx"))
    write_model()


def test_videos_are_labelled_as_their_features_would_be() -> None:
    told = invoke(*LINE, *VIDEOS)
    assert told.exit_code == 0, told.stderr
    assert "2 videos written to out" in told.stderr
    assert np.load("out/features/a.npy").shape == (3, 6)
    assert len(Path("out/a.txt").read_text().splitlines()) == 6
    assert "(2 were already there)" in invoke(*LINE, *VIDEOS, "--resume").stderr
    assert invoke(*LINE[:-1], "again", "--features", "out/features").exit_code == 0
    for name in ("a.txt", "b.txt", "segments.csv"):
        assert Path("again", name).read_bytes() == Path("out", name).read_bytes()


def test_a_video_that_cannot_be_decoded_is_named_and_resumed_once_it_is_repaired() -> None:
    whole = Path("videos/b.mkv").read_bytes()
    Path("videos/b.mkv").write_bytes(whole[:40])
    told = invoke(*LINE, *VIDEOS)
    assert told.exit_code == 1
    assert "1 of 2 videos could not be predicted: b." in told.stderr
    assert Path("out/a.txt").exists()
    Path("videos/b.mkv").write_bytes(whole)
    assert invoke(*LINE, *VIDEOS, "--resume").exit_code == 0
    assert Path("out/b.txt").exists()


def test_an_encoder_of_another_feature_dim_is_refused_and_the_folder_can_be_used_again() -> None:
    write_model(feature_dim=5)
    told = refusal(invoke(*LINE, *VIDEOS))
    assert "encoder.onnx: expected features of feature_dim 5 for the model, found 3" in told
    write_model()
    assert invoke(*LINE, *VIDEOS).exit_code == 0


def test_an_unknown_frame_rate_must_be_given() -> None:
    write_model(fps=None)
    assert "--fps" in refusal(invoke(*LINE, *VIDEOS))
    assert invoke(*LINE, *VIDEOS, "--fps", "10").exit_code == 0
    assert np.load("out/features/a.npy").shape == (3, 4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "either `--features` or `--videos`"),
        ((*VIDEOS, "--features", "videos"), "either `--features` or `--videos`"),
        (VIDEOS[:2], "`--videos` needs `--encoder`"),
        (("--features", "videos", *VIDEOS[2:]), "`--encoder` needs `--videos`"),
    ],
)
def test_features_or_videos_with_an_encoder(options: tuple[str, ...], expected: str) -> None:
    assert expected in refusal(invoke(*LINE, *options))
