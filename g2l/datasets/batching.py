"""Padded batches of videos of similar length, in an order that the seed and the epoch fix."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
    """Anything that videos can be loaded from by name."""

    def load(self, name: str) -> Video:
        """Return one video."""
        ...

    def num_frames(self, name: str) -> int:
        """Return its number of frames, as cheaply as can be."""
        ...


@dataclass(frozen=True)
class Batch:
    """Videos padded to the longest of them.

    Attributes:
        features: (B, D, T), 0 in the padding.
        targets: (B, T), `IGNORE_INDEX` in the padding.
        frame_mask: (B, 1, T) float32, 1 on frames and 0 in the padding.
        names: Video names, B of them.
    """

    features: Tensor
    targets: Tensor
    frame_mask: Tensor
    names: tuple[str, ...]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`."""
        return replace(
            self,
            features=self.features.to(device, non_blocking=True),
            targets=self.targets.to(device, non_blocking=True),
            frame_mask=self.frame_mask.to(device, non_blocking=True),
        )


class BatchSource:
    """The batches of a partition, epoch by epoch.

    Args:
        dataset: Where videos come from.
        names: Videos of the partition.
        batch_size: Videos a batch; the last one of an epoch's plan may be smaller.
        seed: Fixes the order of every epoch.

    Raises:
        InputError: There is no video, or `batch_size` is below 1.
    """

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
        incomplete = int(generator.integers(len(self)))
        size = self.batch_size
        short = len(order) - (len(self) - 1) * size
        starts = [number * size - (size - short if number > incomplete else 0) for number in range(len(self))]
        batches = [
            tuple(order[start : start + (short if number == incomplete else size)])
            for number, start in enumerate(starts)
        ]
        return tuple(batches[number] for number in generator.permutation(len(batches)))

    def epoch(self, number: int, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Yield batches `start` to `stop` of epoch `number`, all counted from 0; no others are loaded."""
        for names in self.plan(number)[start:stop]:
            yield collate([self.dataset.load(name) for name in names])


def collate(videos: Sequence[Video]) -> Batch:
    """Return the padded batch of some videos, at least one."""
    longest = max(len(video.targets) for video in videos)
    features = torch.zeros(len(videos), len(videos[0].features), longest)
    targets = torch.full((len(videos), longest), IGNORE_INDEX, dtype=torch.int64)
    frame_mask = torch.zeros(len(videos), 1, longest)
    for row, video in enumerate(videos):
        frames = len(video.targets)
        features[row, :, :frames] = torch.from_numpy(video.features)
        targets[row, :frames] = torch.from_numpy(video.targets)
        frame_mask[row, :, :frames] = 1
    return Batch(features, targets, frame_mask, tuple(video.name for video in videos))
