"""How much faster an epoch of training is when the next batch is read while a step is taken.

Both sides take the same steps over the same videos, read from files and padded by the same code: one after
the other, or ahead in a thread. Nothing is kept in RAM by us; the files are in the page cache (warm) or are
dropped from it before each epoch (cold). Linux only.

Run from the repository root: `python -m benchmarks.prefetch`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Ratio, paired
from g2l.config import BackboneConfig, DataConfig, RecipeConfig
from g2l.datasets.batching import Batch, BatchSource, prefetched
from g2l.datasets.dataset import SegmentationDataset
from g2l.datasets.synthetic import SyntheticDataset, SyntheticVideo, write_dataset
from g2l.models.registry import build_backbone
from g2l.training.loop import train_step
from g2l.training.state import TrainingState

FEATURE_DIM = 2048
CLASSES = tuple(f"class{number}" for number in range(19))
DATASET = "videos"
VIDEOS = {1100: 8, 6000: 3}
"""Videos of an epoch for each length: some 70 and 130 MB of features."""


def measure(frames: int, *, batch: int, cold: bool, pairs: int) -> Ratio:
    """Return plain / prefetched for an epoch over videos of about `frames` frames, `batch` at a time.

    Args:
        frames: Of the longest video; others are up to a fifth shorter.
        batch: Videos per step.
        cold: Whether the files are dropped from the page cache before each epoch.
        pairs: Timed epochs of each.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        names = _write_videos(root, frames)
        dataset = SegmentationDataset.open(DataConfig(data_root=root, dataset=DATASET, cache_mb=0))
        source = BatchSource(dataset, names, batch_size=batch, seed=0)
        files = sorted((root / DATASET / "features").iterdir())
        state = _state()

        def epoch(made: Callable[[Iterator[Batch]], Iterator[Batch]]) -> None:
            if cold:
                _drop(files)
            for one in made(source.epoch(0)):
                train_step(state, one, RecipeConfig(), torch.device("cpu"))

        return paired(lambda: epoch(iter), lambda: epoch(prefetched), pairs=pairs, warmup=1)


def main() -> None:
    """Print one line per length and state of the page cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=list(VIDEOS), choices=VIDEOS)
    parser.add_argument("--batch", type=int, default=RecipeConfig().batch_size)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for frames in arguments.frames:
        for cold in (False, True):
            ratio = measure(frames, batch=arguments.batch, cold=cold, pairs=arguments.pairs)
            place = "cold" if cold else "warm"
            print(f"frames={frames} batch={arguments.batch} {place} plain/prefetched {ratio}", flush=True)


def _write_videos(root: Path, frames: int) -> tuple[str, ...]:
    """Write a data set and return the names of its training videos; its test is one of a few frames."""
    generator = np.random.default_rng(0)
    lengths = [*np.linspace(0.8 * frames, frames, VIDEOS[frames]).astype(int), len(CLASSES)]
    videos = tuple(
        SyntheticVideo(
            name=f"video{number}",
            features=generator.standard_normal((FEATURE_DIM, length), dtype=np.float32),
            labels=generator.integers(len(CLASSES), size=length),
        )
        for number, length in enumerate(lengths)
    )
    names = tuple(video.name for video in videos)
    write_dataset(root, DATASET, SyntheticDataset(CLASSES, videos, {1: (names[:-1], names[-1:])}))
    return names[:-1]


def _state() -> TrainingState:
    torch.manual_seed(0)
    backbone = BackboneConfig()
    model = build_backbone(
        backbone, backbone.hand_designed(), feature_dim=FEATURE_DIM, num_classes=len(CLASSES)
    )
    return TrainingState(model.train(), torch.optim.Adam(model.parameters(), lr=5e-4, fused=True))


def _drop(files: list[Path]) -> None:
    """Take files out of the page cache."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())  # what is not on the disk yet cannot be dropped
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
