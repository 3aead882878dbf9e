"""Padded batches of videos of similar length, in an order that the seed and the epoch fix."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from g2l.datasets.dataset import Video
from g2l.errors import InputError

IGNORE_INDEX = -100
"""Target of padding frames: no loss counts them."""
LENGTH_JITTER = 0.3
"""Spread of the noise on log-lengths before sorting: a batch mixes lengths within some 30 %."""


class VideoSource(Protocol):
    """Anything that videos can be loaded from by name; `num_frames` is called often."""

    def load(self, name: str) -> Video: ...  # noqa: D102

    def num_frames(self, name: str) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Batch:
    """B videos padded to the longest of them; where none is `padded`, a network needs no mask."""

    features: Tensor  # (B, D, T), 0 in the padding
    targets: Tensor  # (B, T), IGNORE_INDEX in the padding
    frame_mask: Tensor  # (B, 1, T) float32, 1 on frames and 0 in the padding
    names: tuple[str, ...]
    padded: bool = True

    def pinned(self) -> Batch:
        """Return the batch in memory that a GPU copies from while other things go on."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def halves(self) -> tuple[Batch, Batch]:
        """Return the first and the second half of at least two videos, with all of the padding."""
        middle = (len(self.names) + 1) // 2
        return self._rows(slice(middle)), self._rows(slice(middle, None))

    def _rows(self, rows: slice) -> Batch:
        return replace(self._each(lambda tensor: tensor[rows]), names=self.names[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            features=change(self.features),
            targets=change(self.targets),
            frame_mask=change(self.frame_mask),
        )


class BatchSource:
    """The batches of a partition, epoch by epoch; `seed` fixes the order of every epoch."""

    def __init__(self, dataset: VideoSource, names: Sequence[str], *, batch_size: int, seed: int) -> None:
        if not names:
            raise InputError("`names` must hold at least one video, but is empty instead.")
        if batch_size < 1:
            raise InputError(f"`batch_size` must be >= 1, but is {batch_size} instead.")
        self.dataset = dataset
        self.names = tuple(names)
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(len(self.names) / self.batch_size)

    def plan(self, epoch: int) -> tuple[tuple[str, ...], ...]:
        """Return the names in each batch of an epoch: a pure function of the seed and the epoch.

        Videos are sorted by jittered length, so that little is padded and neighbours still vary, then cut
        into batches, then the batches are shuffled. The incomplete batch sits at a random place of the
        sorted order, lest it always hold the longest videos.
        """
        generator = np.random.default_rng([self.seed % 2**32, epoch])
        lengths = np.array([self.dataset.num_frames(name) for name in self.names], dtype=np.float64)
        keys = np.log(lengths) + generator.uniform(0, LENGTH_JITTER, len(lengths))
        order = [self.names[position] for position in np.argsort(keys, kind="stable")]
        sizes = [self.batch_size] * len(self)
        sizes[int(generator.integers(len(self)))] -= len(self) * self.batch_size - len(order)
        ends = accumulate(sizes)
        batches = [tuple(order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
        return tuple(batches[number] for number in generator.permutation(len(batches)))

    def epoch(self, number: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Yield batches `start` to `stop` of epoch `number`, all counted from 0; no others are loaded."""
        for names in self.plan(number)[start:stop]:
            yield collate([self.dataset.load(name) for name in names])


def prefetched(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Yield the batches, each made in another thread while the one before it is used; never more than two.

    An error of a batch is raised when it is due.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="g2l-prefetch") as thread:
        upcoming = thread.submit(next, batches, None)
        while (batch := upcoming.result()) is not None:
            upcoming = thread.submit(next, batches, None)
            yield batch
            del batch  # before the one after the next is made: it may be the largest thing in memory


def collate(videos: Sequence[Video]) -> Batch:
    """Return the padded batch of some videos, at least one; the features of a single one are not copied."""
    longest = max(len(video.targets) for video in videos)
    shape = len(videos), len(videos[0].features), longest
    # In numpy, since torch would start threads of its own in the thread that prefetches.
    if len(videos) == 1:  # copied only where torch could not take them as they are
        features = np.require(videos[0].features, np.float32, ["C", "W"])[np.newaxis]
    else:
        features = np.zeros(shape, np.float32)
    targets = np.full((len(videos), longest), IGNORE_INDEX, np.int64)
    frame_mask = np.zeros((len(videos), 1, longest), np.float32)
    for row, video in enumerate(videos):
        frames = len(video.targets)
        if len(videos) > 1:
            features[row, :, :frames] = video.features
        targets[row, :frames] = video.targets
        frame_mask[row, :, :frames] = 1
    return Batch(
        torch.from_numpy(features),
        torch.from_numpy(targets),
        torch.from_numpy(frame_mask),
        tuple(video.name for video in videos),
        padded=any(len(video.targets) < longest for video in videos),
    )
