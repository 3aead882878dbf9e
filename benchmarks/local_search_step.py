"""How much longer a training step of the local search takes than a plain one of the same network.

Run from the repository root: `python -m benchmarks.local_search_step`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.timing import Ratio, paired
from g2l.models.ms_tcn import MSTCN
from g2l.search.local_search import give_branches
from g2l.search_config import LocalSearchConfig
from g2l.structure import DilationStructure
from g2l.training.loss import segmentation_loss

FEATURE_DIM = 2048
NUM_CLASSES = 19
STRUCTURE = DilationStructure.hand_designed(4, 10)


def training_step(features: Tensor, targets: Tensor, *, branches: int | None) -> Callable[[], None]:
    """Return a training step of MS-TCN, with that many branches per layer or (None) as a plain network."""
    model = MSTCN(STRUCTURE, feature_dim=FEATURE_DIM, num_classes=NUM_CLASSES)
    parameters = [{"params": list(model.parameters()), "lr": 5e-4}]
    if branches is not None:
        config = LocalSearchConfig(branches=branches)
        parameters = give_branches(model, config, longest_video=features.shape[-1], learning_rate=5e-4)
    optimizer = torch.optim.Adam(parameters, fused=True)
    mask = torch.ones(features.shape[0], 1, features.shape[2])

    def step() -> None:
        optimizer.zero_grad()
        logits = model(features, mask)
        loss = segmentation_loss(logits, targets, mask, smoothing_weight=0.15, smoothing_clamp=4.0)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def measure(frames: int, *, batch: int, branches: int, pairs: int) -> Ratio:
    """Return search / plain for videos of `frames` frames, `batch` at a time."""
    torch.manual_seed(0)
    features = torch.randn(batch, FEATURE_DIM, frames)
    targets = torch.randint(NUM_CLASSES, (batch, frames))
    return paired(
        training_step(features, targets, branches=branches),
        training_step(features, targets, branches=None),
        pairs=pairs,
        warmup=2,
    )


def main() -> None:
    """Print one line per length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[300, 1100, 6000])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--branches", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for frames in arguments.frames:
        ratio = measure(frames, batch=arguments.batch, branches=arguments.branches, pairs=arguments.pairs)
        print(f"frames={frames} batch={arguments.batch} search/plain {ratio}", flush=True)


if __name__ == "__main__":
    main()
