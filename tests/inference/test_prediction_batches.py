from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from g2l.errors import OperationalError
from g2l.inference.batching import Buckets, OneByOne, Piece, Video, bucket
from g2l.inference.predictor import Predictor, VideoFailure
from g2l.inference.tiling import Tile


def pieces(lengths):
    return [Piece(Video(n, Path(f"{n}.npy")), Tile(0, 0, t, t)) for n, t in enumerate(lengths)]


@given(st.integers(1, 10**6))
def test_padding_is_at_most_an_eighth_of_all_but_short_videos(frames):
    padded = bucket(frames)
    assert frames <= padded <= max(64, frames * 9 / 8)
    assert bucket(padded) == padded


def test_there_are_few_lengths():
    assert len({bucket(frames) for frames in range(1, 20_000)}) < 75


@given(st.lists(st.integers(1, 3000), max_size=40))
def test_groups_hold_each_piece_once_at_lengths_of_one_bucket(lengths):
    wanted = pieces(lengths)
    groups = list(Buckets(4096).groups(wanted))
    assert sorted(piece.video.number for group in groups for piece in group.pieces) == list(
        range(len(lengths))
    )
    alone = [group for group in groups if group.rows == 1]
    assert all(2 * bucket(group.frames) > 4096 for group in alone)
    assert all(group.frames == group.pieces[0].tile.frames for group in alone)
    groups = [group for group in groups if group.rows > 1]
    for group in groups:
        assert {bucket(piece.tile.frames) for piece in group.pieces} == {group.frames}
        assert 1 <= len(group.pieces) <= group.rows == 4096 // group.frames
    shapes = {(group.rows, group.frames) for group in groups}
    assert len(shapes) == len({frames for _, frames in shapes})


def test_one_by_one_pads_nothing():
    assert [(group.rows, group.frames) for group in OneByOne().groups(pieces([5, 9]))] == [(1, 5), (1, 9)]


class BatchFake:
    """A session of the fixture that takes batches, too; padding must not reach its result."""

    def __init__(self, session, frames=256):
        self.metadata, self.device_report, self.fingerprint = session.metadata, "a fake", "fake"
        self.batching = Buckets(frames, window=8)
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


@pytest.mark.parametrize("frames", [1, 10_000])
def test_a_video_too_long_for_a_batch_is_computed_by_itself_at_its_own_length(fake_session, video, frames):
    session = BatchFake(fake_session(sample_rate=1), frames=frames)
    (result,) = Predictor(session).predict([video("v", [1] * 300)])
    assert result.labels.tolist() == [1] * 300
    assert (session.alone == [300]) == (frames == 1)
