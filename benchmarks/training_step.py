"""How much faster one training step is than the plain way: forward, loss, backward, Adam.

Run from the repository root: `python -m benchmarks.training_step`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.timing import Ratio, paired
from g2l.models.ms_tcn import MSTCN
from g2l.structure import DilationStructure
from g2l.training.loss import segmentation_loss
from tests.oracles.plain_ms_tcn import PlainMSTCN, plain_loss

FEATURE_DIM = 2048
NUM_CLASSES = 19
STRUCTURE = DilationStructure.hand_designed(4, 10)


def plain_step(features: Tensor, targets: Tensor) -> Callable[[], None]:
    """Return a training step as the paper's description is usually written down."""
    model = PlainMSTCN(STRUCTURE.as_lists(), FEATURE_DIM, NUM_CLASSES)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    mask = torch.ones(features.shape[0], NUM_CLASSES, features.shape[2])

    def step() -> None:
        optimizer.zero_grad()
        plain_loss(model(features, mask), targets, mask).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def g2l_step(features: Tensor, targets: Tensor) -> Callable[[], None]:
    """Return the same step with the parts that g2l trains with."""
    model = MSTCN(STRUCTURE, feature_dim=FEATURE_DIM, num_classes=NUM_CLASSES)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, fused=True)
    mask = torch.ones(features.shape[0], 1, features.shape[2])

    def step() -> None:
        optimizer.zero_grad()
        logits = model(features, mask)
        loss = segmentation_loss(logits, targets, mask, smoothing_weight=0.15, smoothing_clamp=4.0)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def measure(frames: int, *, batch: int, pairs: int) -> Ratio:
    """Return plain / g2l for videos of `frames` frames, `batch` at a time."""
    torch.manual_seed(0)
    features = torch.randn(batch, FEATURE_DIM, frames)
    targets = torch.randint(NUM_CLASSES, (batch, frames))
    return paired(plain_step(features, targets), g2l_step(features, targets), pairs=pairs, warmup=2)


def main() -> None:
    """Print one line per length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[300, 1100, 6000])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for frames in arguments.frames:
        ratio = measure(frames, batch=arguments.batch, pairs=arguments.pairs)
        print(f"frames={frames} batch={arguments.batch} plain/g2l {ratio}", flush=True)


if __name__ == "__main__":
    main()
