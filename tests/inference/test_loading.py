"""Which files are read, in which groups, and what becomes of those that cannot be read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.features import FeatureReader
from g2l.errors import InputError, OperationalError
from g2l.inference import tiling
from g2l.inference.loading import Piece, Video, find_videos, group_pieces, padded_length
from g2l.inference.predictor import Predictor, VideoFailure
from g2l.inference.tiling import Tile


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


def test_what_is_no_feature_file_is_refused_one_by_one(fake_session, video, tmp_path):
    folder = video("a-good", [1, 1]).parent
    video("z-good", [2])
    (folder / "nothing.npy").touch()
    (folder / "truncated.npy").write_bytes((folder / "z-good.npy").read_bytes()[:-4])
    np.save(folder / "text.npy", np.array([["a"]]))
    os.mkfifo(folder / "pipe.npy")
    (folder / "folder.npy").mkdir()
    (folder / "dangling.npy").symlink_to(tmp_path / "gone")
    (folder / "loop.npy").symlink_to(folder / "loop.npy")
    results = list(Predictor(fake_session(sample_rate=1)).predict([folder]))
    failures = {result.name: result.error for result in results if isinstance(result, VideoFailure)}
    assert sorted(result.name for result in results if result.name not in failures) == ["a-good", "z-good"]
    assert failures.keys() == {"nothing", "truncated", "text", "pipe", "folder", "dangling", "loop"}
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


def pieces(lengths):
    return [Piece(Video(n, Path(f"{n}.npy")), Tile(0, 0, t, t)) for n, t in enumerate(lengths)]


@given(st.integers(1, 10**6))
def test_padding_is_at_most_an_eighth_of_all_but_short_videos(frames):
    padded = padded_length(frames)
    assert frames <= padded <= max(64, frames * 9 / 8)
    assert padded_length(padded) == padded


@given(st.lists(st.integers(1, 3000), max_size=40))
def test_groups_hold_each_piece_once_at_lengths_of_one_padded_length(lengths):
    wanted = pieces(lengths)
    groups = list(group_pieces(wanted, 4096))
    numbers = [piece.video.number for members, _, _ in groups for piece in members]
    assert sorted(numbers) == list(range(len(lengths)))
    for members, rows, frames in groups:
        padded = {padded_length(piece.tile.frames) for piece in members}
        if rows == 1:
            assert (frames, 2 * padded.pop() > 4096) == (members[0].tile.frames, True)
        else:
            assert padded == {frames}
            assert 1 <= len(members) <= rows == 4096 // frames


class BatchFake:
    """A session of the fixture that takes batches, too; padding must not reach its result."""

    def __init__(self, session, frames=256):
        self.metadata, self.device_report, self.fingerprint = session.metadata, "a fake", "fake"
        self.batch_frames = frames
        self.shapes = []
        self.alone = []

    def probabilities(self, features):
        self.alone.append(features.shape[1])
        return features[:3].copy()

    def batch(self, features, lengths):
        self.shapes.append(features.shape)
        assert not np.isnan(features).any()
        for row, length in enumerate(lengths):
            assert not features[row, :, length:].any()
        assert not features[len(lengths) :].any()
        return features[:, :3].copy()


def test_batches_give_what_single_videos_give_in_the_order_of_the_videos(fake_session, video):
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 140, 30)
    paths = [video(f"v{n}", generator.integers(0, 3, length)) for n, length in enumerate(lengths)]
    plain, batched = fake_session(sample_rate=1), BatchFake(fake_session(sample_rate=1))
    expected = list(Predictor(plain).predict(paths))
    found = list(Predictor(batched).predict(paths))
    assert [result.name for result in found] == [path.stem for path in paths]
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert len(batched.shapes) + len(batched.alone) < len(paths)
    assert {shape[2] for shape in batched.shapes} <= {64, 72, 80, 88, 96, 104, 112, 120, 128, 144}


def test_a_bad_file_in_a_batch_leaves_the_others_in_it(fake_session, video):
    paths = [video(f"v{n}", [n % 3] * 20) for n in range(3)]
    np.save(paths[1], np.full((6, 20), np.nan, np.float32))
    first, bad, last = Predictor(BatchFake(fake_session(sample_rate=1))).predict(paths)
    assert isinstance(bad, VideoFailure)
    assert (first.labels.tolist(), last.labels.tolist()) == ([0] * 20, [2] * 20)


def test_a_batch_that_fails_is_computed_one_by_one(fake_session, video):
    session = BatchFake(fake_session(sample_rate=1))

    def fail(features, lengths):
        raise OperationalError("out of memory")

    session.batch = fail
    paths = [video(f"v{n}", [n % 3] * (20 + n)) for n in range(3)]
    results = list(Predictor(session).predict(paths))
    assert [result.labels.tolist() for result in results] == [[n % 3] * (20 + n) for n in range(3)]
    assert session.alone == [20, 21, 22]


def test_tiles_of_a_video_may_be_computed_in_any_order(fake_session, video, monkeypatch):
    """First and last tile are shorter than those between and share a batch."""
    monkeypatch.setattr(tiling, "_SMALLEST", 1)
    labels = np.random.default_rng(0).integers(0, 3, 1000)
    predictor = Predictor(BatchFake(fake_session(sample_rate=1), frames=512))
    predictor._capacity = replace(predictor._capacity, frames=100, kept_bytes=0)
    (result,) = predictor.predict([video("v", labels)])
    assert result.labels.tolist() == labels.tolist()
    assert len(predictor.session.shapes) < 11
