"""Videos, encoders and settings from which no features can be made."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from g2l.errors import InputError, OperationalError
from g2l.inference import extraction
from g2l.inference.extraction import extract_features
from g2l.inference.settings import ExtractionConfig
from tests.oracles.tiny_videos import tiny_request, write_encoder, write_sound, write_video


@pytest.fixture
def request_(tmp_path: Path) -> ExtractionConfig:
    return tiny_request(tmp_path)


def test_broken_videos_do_not_stop_the_others(request_: ExtractionConfig) -> None:
    whole = write_video(request_.videos / "whole.mp4", 120, codec="mpeg4").read_bytes()
    write_sound(request_.videos / "sound.mkv")
    (request_.videos / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (request_.videos / "empty.mp4").write_bytes(b"")
    (request_.videos / "none.avi").write_bytes(b"no video" * 100)
    torn = write_video(request_.videos / "torn.mkv", 120, codec="mpeg4")
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 2])
    write_video(request_.videos / "zero.avi", 0, codec="mpeg4")
    result = extract_features(request_)
    assert result.written == ("whole",)
    assert sorted(path.name for path in request_.output.iterdir()) == ["features.json", "whole.npy"]
    assert [(issue.path.name, issue.reason.split(" (")[0].split(":")[0]) for issue in result.issues] == [
        ("cut.mp4", "cannot be decoded"),
        ("empty.mp4", "cannot be decoded"),
        ("none.avi", "cannot be decoded"),
        ("sound.mkv", "has no video stream."),
        ("torn.mkv", "is truncated"),
        ("zero.avi", "has a video stream, but no frame in it."),
    ]


@pytest.mark.parametrize(
    ("shape", "kind", "found"),
    [
        (("n", 8, 8, 3), TensorProto.FLOAT, r"`images` \(n, 8, 8, 3\) tensor\(float\)"),
        (("n", 3, 64), TensorProto.FLOAT, r"`images` \(n, 3, 64\) tensor\(float\)"),
        (("n", 3, 8, 8), TensorProto.INT64, r"`images` \(n, 3, 8, 8\) tensor\(int64\)"),
    ],
)
def test_encoders_with_the_wrong_input(
    request_: ExtractionConfig, shape: tuple, kind: int, found: str
) -> None:
    write_video(request_.videos / "a.mkv", 6)
    write_encoder(request_.encoder, shape, kind)
    expected = r"expected one input \(N, 3, H, W\) of frames or \(N, 3, T, H, W\) of clips"
    with pytest.raises(InputError, match=rf"encoder\.onnx: {expected}.*, but found {found}\."):
        extract_features(request_)
    assert not request_.output.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": 0.0}, "`fps` must be > 0"),
        ({"batch_size": 0}, "`batch_size` must be >= 1, but is 0 instead"),
        ({"mean": "0.5"}, "`mean` must be three numbers, .* but is '0.5' instead"),
        ({"std": "1,1,0"}, "`std` must be three numbers > 0, .* but is '1,1,0' instead"),
        ({"size": 16}, r"`size` is 16, but .*encoder\.onnx takes 8 only"),
        ({"clip_frames": 4}, "`clip_frames` is for encoders of clips"),
        ({"encoder_output": "x"}, r"expected an output `x`, but found `features` \("),
        ({"encoder": Path("none.onnx")}, "none.onnx: no such file"),
        ({"videos": Path("none")}, "none: no such folder of videos"),
        ({"device": "tpu"}, "`device` must be one of"),
    ],
)
def test_settings_that_do_not_fit(request_: ExtractionConfig, change: dict, message: str) -> None:
    write_video(request_.videos / "a.mkv", 6)
    with pytest.raises(InputError, match=message):
        extract_features(replace(request_, **change))
    assert not request_.output.exists()


def test_uint8_takes_no_mean(request_: ExtractionConfig) -> None:
    write_encoder(request_.encoder, kind=TensorProto.UINT8)
    write_video(request_.videos / "a.mkv", 6)
    with pytest.raises(InputError, match="`mean` and `std` are for encoders of float"):
        extract_features(request_)


def test_folders_of_no_or_of_the_same_videos(request_: ExtractionConfig) -> None:
    with pytest.raises(InputError, match="videos: expected videos"):
        extract_features(request_)
    write_video(request_.videos / "a.mkv", 6)
    write_video(request_.videos / "a.mp4", 6, codec="mpeg4")
    with pytest.raises(InputError, match=r"a\.mp4: video 'a' must be there once, but is .*a\.mkv too"):
        extract_features(request_)


def test_numbers_that_are_not_finite(request_: ExtractionConfig) -> None:
    write_encoder(request_.encoder, kind=TensorProto.FLOAT16)
    write_video(request_.videos / "a.mkv", 30)
    with np.errstate(over="ignore"):
        (issue,) = extract_features(replace(request_, std="1e-7,1,1")).issues
    assert issue.reason == "features must be finite, but those of 0.1 s are not."


def test_an_encoder_that_fails_while_it_runs(
    request_: ExtractionConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(request_.videos / "a.mkv", 6)
    monkeypatch.setattr(extraction, "to_batch", lambda *_: np.zeros((1, 3, 5, 5), np.float32))
    with pytest.raises(OperationalError, match="onnxruntime failed: "):
        extract_features(request_)


def test_without_pyav_the_extra_is_named(request_: ExtractionConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="videos cannot be read without the package av") as caught:
        extract_features(request_)
    assert caught.value.hint == "pip install 'g2l[video]'."
