"""Features of videos against what the colours of their frames say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from g2l.datasets.features import open_features
from g2l.errors import InputError
from g2l.inference import extraction
from g2l.inference.encoder import IMAGENET_MEAN, IMAGENET_STD, fit
from g2l.inference.extraction import extract_features, sampled_frames
from g2l.inference.settings import ExtractionConfig
from tests.oracles.tiny_videos import HEIGHT, WIDTH, colours, tiny_request, write_encoder, write_video


@pytest.fixture
def request_(tmp_path: Path) -> ExtractionConfig:
    return tiny_request(tmp_path)


def features(request: ExtractionConfig, name: str) -> np.ndarray:
    return np.load(request.output / f"{name}.npy", allow_pickle=False)


def said(request: ExtractionConfig) -> dict:
    return json.loads((request.output / "features.json").read_text())


def shown_at(frames: int, rate: float, fps: float) -> list[int]:
    """Return which frame is on the screen at each time, counted one by one in whole units."""
    count = -(-frames * fps // rate)
    return [int(k * rate // fps) for k in range(int(count))]


@pytest.mark.parametrize(("rate", "fps"), [(30, 15), (25, 50), (24, 15), (30, 4)])
def test_frames_are_those_on_the_screen(request_: ExtractionConfig, rate: int, fps: int) -> None:
    write_video(request_.videos / "a.mkv", 40, rate)
    result = extract_features(replace(request_, fps=fps))
    expected = colours(40)[shown_at(40, rate, fps)].T / 255
    np.testing.assert_allclose(features(request_, "a"), expected, atol=1e-6)
    assert (result.written, result.kept, result.issues) == (("a",), (), ())
    assert (result.frames, result.feature_dim) == (expected.shape[1], 3)


def test_frames_of_uneven_length(request_: ExtractionConfig) -> None:
    write_video(request_.videos / "a.mkv", 4, rate=10, times=[0, 1, 5, 6])
    extract_features(replace(request_, fps=10))
    np.testing.assert_allclose(features(request_, "a") * 255, colours(4)[[0, 1, 1, 1, 1, 2, 3]].T, atol=1e-4)


def test_imagenet_is_the_default_and_numbers_are_divided_by_std(request_: ExtractionConfig) -> None:
    write_video(request_.videos / "a.mkv", 6)
    extract_features(replace(request_, mean=None, std=None))
    expected = (colours(6)[::2] / 255 - IMAGENET_MEAN) / IMAGENET_STD
    np.testing.assert_allclose(features(request_, "a"), expected.T, atol=1e-5)
    assert said(request_)["preprocessing"]["std"] == [0.229, 0.224, 0.225]


@pytest.mark.parametrize(
    ("kind", "scale", "shape"),
    [
        (TensorProto.UINT8, 255, (4, 3, 8, 8)),
        (TensorProto.FLOAT16, 1, (7, 3, 40, 12)),
        (TensorProto.UINT8, 255, ("n", 3, "h", "w")),
    ],
)
def test_types_sizes_and_fixed_batches(
    request_: ExtractionConfig, kind: int, scale: int, shape: tuple
) -> None:
    write_encoder(request_.encoder, shape, kind, keep=4)
    write_video(request_.videos / "a.mkv", 30)
    of_float = kind != TensorProto.UINT8
    extract_features(replace(request_, mean="0,0,0" if of_float else None, std="1,1,1" if of_float else None))
    np.testing.assert_allclose(features(request_, "a") / scale, colours(30)[::2].T / 255, atol=2e-3)
    size = said(request_)["preprocessing"]["height"], said(request_)["preprocessing"]["width"]
    assert size == tuple(224 if isinstance(length, str) else length for length in shape[2:])


@pytest.mark.parametrize(("length", "frames"), [(1, 12), (4, 12), (9, 2)])
def test_the_clip_of_a_frame_is_around_it(request_: ExtractionConfig, length: int, frames: int) -> None:
    write_encoder(request_.encoder, ("n", 3, "t", 8, 8))
    write_video(request_.videos / "a.mkv", frames)
    extract_features(replace(request_, clip_frames=length, fps=30))
    places = np.arange(frames)[:, None] + np.arange(length) - length // 2
    expected = colours(frames)[places.clip(0, frames - 1)].transpose(0, 2, 1).reshape(frames, -1)
    np.testing.assert_allclose(features(request_, "a").T * 255, expected, atol=1e-4)
    assert said(request_)["encoder"]["clip_frames"] == length


def test_facts_say_how_features_were_made(request_: ExtractionConfig) -> None:
    path = write_video(request_.videos / "a.mkv", 6)
    extract_features(request_)
    assert said(request_) == {
        "schema": "g2l.features/1",
        "encoder": {
            "file": "encoder.onnx",
            "sha256": hashlib.sha256(request_.encoder.read_bytes()).hexdigest(),
            "output": "features",
            "clip_frames": None,
        },
        "fps": 15.0,
        "feature_dim": 3,
        "preprocessing": {
            "colours": "RGB",
            "height": 8,
            "width": 8,
            "fit": "cover, centre",
            "mean": [0.0, 0.0, 0.0],
            "std": [1.0, 1.0, 1.0],
        },
        "videos": {"a": {"file": "a.mkv", "bytes": path.stat().st_size, "frames": 3}},
    }
    assert open_features(request_.output / "a.npy").shape == (3, 3)


def test_what_is_done_is_kept(request_: ExtractionConfig) -> None:
    write_video(request_.videos / "a.mkv", 6)
    write_video(request_.videos / "b.mkv", 8)
    extract_features(request_)
    stamps = {name: (request_.output / f"{name}.npy").stat().st_mtime_ns for name in "ab"}
    write_video(request_.videos / "b.mkv", 12)
    write_video(request_.videos / "c.mkv", 10)
    result = extract_features(request_)
    assert (result.kept, result.written, result.frames) == (("a",), ("b", "c"), 3 + 6 + 5)
    assert (request_.output / "a.npy").stat().st_mtime_ns == stamps["a"]
    (request_.output / "c.npy").write_bytes(b"torn")
    assert extract_features(request_).written == ("c",)


class StopAfter:
    """Goes on for a number of calls, and is interrupted then."""

    def __init__(self, calls, go_on) -> None:
        self.calls, self.go_on = calls, go_on

    def __call__(self, *arguments):
        if not self.calls:
            raise KeyboardInterrupt
        self.calls -= 1
        return self.go_on(*arguments)


def test_a_kill_leaves_whole_videos_only(request_: ExtractionConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        write_video(request_.videos / f"{name}.mkv", 6)
    for module, name, calls in ((extraction, "write_json", 2), (extraction, "to_batch", 0)):
        stop = StopAfter(calls, getattr(module, name))
        with monkeypatch.context() as patch:
            patch.setattr(module, name, stop)
            with pytest.raises(KeyboardInterrupt):
                extract_features(request_)
        assert list(said(request_)["videos"]) == ["a"]
        assert sorted(path.suffix for path in request_.output.iterdir()).count(".tmp") == 0
    assert extract_features(request_).written == ("b", "c")


@pytest.mark.parametrize(
    ("change", "key"),
    [({"fps": 10.0}, "fps"), ({"mean": "0.5,0,0"}, "preprocessing.mean")],
)
def test_other_settings_need_another_folder(request_: ExtractionConfig, change: dict, key: str) -> None:
    write_video(request_.videos / "a.mkv", 6)
    extract_features(request_)
    with pytest.raises(InputError, match=f"were made with `{key}` ") as caught:
        extract_features(replace(request_, **change))
    assert "another --output" in caught.value.hint


class Turned:
    """A frame that says by how much it is to be turned, as phones do."""

    def __init__(self, frame, rotation: int) -> None:
        self._frame, self.rotation = frame, rotation
        self.width, self.height, self.reformat = frame.width, frame.height, frame.reformat


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_frames_are_scaled_to_cover_and_turned_upright(tmp_path: Path, rotation: int) -> None:
    import av

    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[: HEIGHT // 2, WIDTH // 2 :] = 255  # the upper right quarter
    frame = Turned(av.VideoFrame.from_ndarray(image, format="rgb24"), rotation)
    upright = np.rot90(image, rotation // 90)
    found = fit(frame, 12, 12)
    rows, columns = upright.shape[:2]
    side = min(rows, columns)
    middle = upright[(rows - side) // 2 :][:side, (columns - side) // 2 :][:, :side]
    halves = middle.reshape(2, side // 2, 2, side // 2, 3).mean(axis=(1, 3, 4))
    np.testing.assert_allclose(found.reshape(2, 6, 2, 6, 3).mean(axis=(1, 3, 4)), halves, atol=12)


def test_videos_that_start_late_count_from_their_first_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 6, rate=10, times=range(20, 26))
    assert len(list(sampled_frames(path, 10))) == 6
