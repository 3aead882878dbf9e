"""How many more candidates a second are trained as one network than one by one.

Run from the repository root: `python -m benchmarks.candidate_batch`.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from itertools import product

import torch
from torch import nn

from benchmarks.timing import Ratio, paired
from g2l.datasets.batching import Batch
from g2l.models.candidate_batch import CandidateBatch
from g2l.models.ms_tcn import MSTCN
from g2l.structure import DilationStructure
from g2l.training.candidate_group import aligned
from g2l.training.loss import segmentation_loss

FEATURE_DIM = 11
NUM_CLASSES = 11
SIZES = ((4, 10, 64), (2, 8, 16))
"""Stages, layers, feature maps: the default network and a small one."""


def random_structures(count: int, stages: int, layers: int) -> list[DilationStructure]:
    """Return structures with log-uniform rates up to 128."""
    draws = random.Random(0)
    return [
        DilationStructure(
            tuple(tuple(2 ** draws.randint(0, 7) for _ in range(layers)) for _ in range(stages))
        )
        for _ in range(count)
    ]


def training_step(model: nn.Module, batch: Batch) -> Callable[[], None]:
    """Return a training step: forward, loss, backward, Adam."""
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, fused=True)

    def step() -> None:
        logits = model(batch.features, batch.frame_mask)
        loss = segmentation_loss(
            logits, batch.targets, batch.frame_mask, smoothing_weight=0.15, smoothing_clamp=4.0
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def measure(count: int, frames: int, size: tuple[int, int, int], *, videos: int, pairs: int) -> Ratio:
    """Return one by one / as one network for a step of `count` candidates, `size` as in `SIZES`."""
    torch.manual_seed(0)
    stages, layers, maps = size
    structures = random_structures(count, stages, layers)
    networks = [
        MSTCN(structure, feature_dim=FEATURE_DIM, num_classes=NUM_CLASSES, feature_maps=maps)
        for structure in structures
    ]
    batch = Batch(
        torch.randn(videos, FEATURE_DIM, frames),
        torch.randint(NUM_CLASSES, (videos, frames)),
        torch.ones(videos, 1, frames),
        ("",) * videos,
    )
    steps = [training_step(network, batch) for network in networks]
    together = training_step(CandidateBatch(networks[0], structures), aligned(batch))
    return paired(lambda: [step() for step in steps], together, pairs=pairs, warmup=1)


def main() -> None:
    """Print one line per network, length and number of candidates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--frames", type=int, nargs="+", default=[222, 1100])
    parser.add_argument("--videos", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for size, frames, count in product(SIZES, arguments.frames, arguments.candidates):
            ratio = measure(count, frames, size, videos=arguments.videos, pairs=arguments.pairs)
            name = "x".join(map(str, size))
            rates = f"{count / ratio.a_seconds:.1f} -> {count / ratio.b_seconds:.1f} candidate steps/s"
            print(
                f"threads={threads} {name} frames={frames} candidates={count}: {rates}, {ratio}", flush=True
            )


if __name__ == "__main__":
    main()
