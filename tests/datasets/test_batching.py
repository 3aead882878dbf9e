from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from g2l.datasets.batching import IGNORE_INDEX, Batch, BatchSource, collate, prefetched
from g2l.datasets.dataset import Video
from g2l.errors import InputError


class Videos:
    """Videos whose lengths are given; loads are counted."""

    def __init__(self, *lengths: int) -> None:
        self.lengths = {f"v{number}": length for number, length in enumerate(lengths)}
        self.loaded: list[str] = []

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.lengths)

    def load(self, name: str) -> Video:
        self.loaded.append(name)
        frames = self.lengths[name]
        features = np.full((2, frames), 1 + int(name[1:]), np.float32)
        return Video(name, features, np.arange(frames, dtype=np.int64))

    def num_frames(self, name: str) -> int:
        return self.lengths[name]


def test_padding_is_zero_ignored_and_masked() -> None:
    videos = Videos(3, 5)
    batch = collate([videos.load("v0"), videos.load("v1")])
    assert batch.names == ("v0", "v1")
    assert batch.features.shape == (2, 2, 5)
    assert batch.features[0, :, 3:].tolist() == [[0, 0], [0, 0]]
    assert batch.features[0, :, :3].eq(1).all()
    assert batch.targets.tolist() == [[0, 1, 2, IGNORE_INDEX, IGNORE_INDEX], [0, 1, 2, 3, 4]]
    assert batch.targets.dtype == torch.int64
    assert batch.frame_mask.tolist() == [[[1, 1, 1, 0, 0]], [[1, 1, 1, 1, 1]]]
    assert batch.frame_mask.dtype == torch.float32


@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=25),
    size=st.integers(1, 30),
    seed=st.integers(-3, 2**40),
    epoch=st.integers(0, 100),
)
def test_an_epoch_has_every_video_once_in_full_batches_but_one(
    lengths: list[int], size: int, seed: int, epoch: int
) -> None:
    videos = Videos(*lengths)
    source = BatchSource(videos, videos.names, batch_size=size, seed=seed)
    plan = source.plan(epoch)
    assert len(plan) == len(source) == -(-len(lengths) // size)
    assert sorted(name for batch in plan for name in batch) == sorted(videos.names)
    assert sum(len(batch) != size for batch in plan) <= 1
    assert plan == BatchSource(videos, videos.names, batch_size=size, seed=seed).plan(epoch)
    assert videos.loaded == []


def test_batches_hold_videos_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(50, 2000, 64).tolist()
    videos = Videos(*lengths)
    source = BatchSource(videos, videos.names, batch_size=8, seed=0)
    padded = sum(max(map(videos.num_frames, batch)) * len(batch) for batch in source.plan(0))
    assert padded < 1.25 * sum(lengths)


def test_prefetched_batches_are_those_of_the_epoch_and_one_ahead() -> None:
    videos = Videos(5, 6, 7, 8, 9, 10)
    source = BatchSource(videos, videos.names, batch_size=2, seed=3)
    expected = [batch.names for batch in source.epoch(0)]
    videos.loaded.clear()
    found = []
    for number, batch in enumerate(prefetched(source.epoch(0)), start=1):
        found.append(batch.names)
        assert len(videos.loaded) <= 2 * (number + 1)
    assert found == expected


def test_a_fault_while_prefetching_is_raised_when_its_batch_is_due() -> None:
    videos = Videos(5, 6)
    good = next(BatchSource(videos, videos.names, batch_size=2, seed=0).epoch(0))

    def batches() -> Iterator[Batch]:
        yield good
        raise InputError("v7.npy: is gone.")

    upcoming = prefetched(batches())
    assert next(upcoming) is good
    with pytest.raises(InputError, match="is gone"):
        next(upcoming)


def test_whoever_stops_early_leaves_no_thread() -> None:
    videos = Videos(5, 6, 7, 8)
    upcoming = prefetched(BatchSource(videos, videos.names, batch_size=1, seed=0).epoch(0))
    next(upcoming)
    upcoming.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("g2l-prefetch")]
