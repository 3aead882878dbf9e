from __future__ import annotations

import os

import numpy as np
import pytest

from g2l.datasets.features import FeatureReader
from g2l.errors import InputError
from g2l.inference.predictor import Predictor, VideoFailure
from g2l.inference.videos import find_videos


def test_a_folder_is_its_feature_files_in_order_and_a_path_counts_once(video, tmp_path):
    paths = [video(name, [0]) for name in ("b", "a", "c")]
    (tmp_path / "features" / "notes.txt").touch()
    (tmp_path / "features" / ".c.npy").touch()
    assert [path.stem for path in find_videos([tmp_path / "features"])] == ["a", "b", "c"]
    again = tmp_path / "features" / ".." / "features" / "b.npy"
    assert find_videos([paths[0], tmp_path / "features", again])[0] == paths[0]
    assert len(find_videos([paths[0], tmp_path / "features", again])) == 3


def test_two_files_of_one_name_are_refused(video):
    with pytest.raises(
        InputError, match=r"video 'a' must occur once, but .*features/a.npy has the same name"
    ):
        find_videos([video("a", [0]), video("a", [0], folder="other")])


HUGE = 2**62


class _Absurd:
    def __repr__(self) -> str:
        return f"(6, 0x{'f' * 5000})"


ABSURD = _Absurd()
"""A number of more digits than Python converts."""


def header(shape: object, kind: str = "<f4") -> bytes:
    """A numpy header that claims this shape, and hardly a number behind it."""
    text = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    text += b" " * (53 - len(text) % 64 + 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)


HOSTILE = {
    "overflowing": header((6, HUGE)),
    "overflowing-product": header((HUGE, HUGE)),
    "negative": header((6, -1)),
    "no-frame": header((6, 0)),
    "one-axis": header((6,)),
    "many-axes": header((6,) * 40),
    "text": header((6, 2), "<U4"),
    "objects": header((6, 2), "|O"),
    "records": header((6, 2), [("a", "<f4")]),  # type: ignore[arg-type]
    "nothing": b"",
    "zip": b"PK\x03\x04",
    "half-header": header((6, 2))[:40],
    "truncated": header((6, 20)),
    "long-header": b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b"{" * 100,
    "absurd": header(ABSURD),
    "deep": b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"(" * 9000,
}


def test_what_is_no_feature_file_is_refused_one_by_one(fake_session, video, tmp_path):
    folder = video("a-good", [1, 1]).parent
    video("z-good", [2])
    for name, content in HOSTILE.items():
        (folder / f"{name}.npy").write_bytes(content)
    os.mkfifo(folder / "pipe.npy")
    (folder / "folder.npy").mkdir()
    (folder / "dangling.npy").symlink_to(tmp_path / "gone")
    (folder / "loop.npy").symlink_to(folder / "loop.npy")
    results = list(Predictor(fake_session(sample_rate=1)).predict([folder]))
    failures = {result.name: result.error for result in results if isinstance(result, VideoFailure)}
    assert sorted(result.name for result in results if result.name not in failures) == ["a-good", "z-good"]
    others = {"pipe", "folder", "dangling", "loop"}
    assert failures.keys() == HOSTILE.keys() | others
    assert all(isinstance(error, InputError) for error in failures.values())
    assert "is truncated: expected" in failures["truncated"].message
    assert "it is a pipe" in failures["pipe"].message
    assert "it is a folder" in failures["folder"].message


def test_what_is_named_fails_by_itself_and_a_missing_file_stops_everything(fake_session, tmp_path):
    os.mkfifo(tmp_path / "v.npy")
    (pipe,) = Predictor(fake_session()).predict([tmp_path / "v.npy"])
    assert "it is a pipe" in pipe.error.message
    with pytest.raises(InputError, match=r"w\.npy: no such file or folder"):
        find_videos([tmp_path / "v.npy", tmp_path / "w.npy"])
    with pytest.raises(InputError, match=r"x\.npy: cannot be read \(File name too long\)"):
        find_videos([tmp_path / f"{'x' * 300}.npy"])


@pytest.mark.parametrize("change", ["truncate", "replace", "rewrite"])
def test_a_file_that_changes_while_it_is_read_is_refused(fake_session, video, monkeypatch, change):
    path, other = video("a", [1] * 50), video("b", [2, 2])
    original = FeatureReader.read

    def changed(reader, *arguments):
        result = original(reader, *arguments)
        if reader.file.path == path:
            if change == "truncate":
                os.truncate(path, 300)
            elif change == "replace":
                path.unlink()
                np.save(path, np.zeros((6, 50), np.float32))
                os.utime(path)
            else:
                np.save(path, np.ones((6, 50), np.float32))
        return result

    monkeypatch.setattr(FeatureReader, "read", changed)
    first, second = Predictor(fake_session(sample_rate=1)).predict([path, other])
    if change == "replace":  # what was read is the file that was opened, as a whole
        assert first.labels.tolist() == [1] * 50
    else:
        assert "a.npy: changed while it was read" in first.error.message
    assert second.labels.tolist() == [2, 2]
