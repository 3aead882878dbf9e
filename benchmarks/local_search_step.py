"""Time and memory of a training step of the local search, beside a plain one of the same network.

Memory is measured in a process for each step: what its peak resident memory grows by during three steps, on
top of libraries, features and network; weights of the optimizer and gradients are included.

Run from the repository root: `python -m benchmarks.local_search_step`.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import Ratio, paired
from g2l.config import LocalSearchConfig
from g2l.models.ms_tcn import MSTCN
from g2l.search.local_search import give_branches
from g2l.structure import DilationStructure
from g2l.training.loss import segmentation_loss

FEATURE_DIM = 2048
NUM_CLASSES = 19
STRUCTURE = DilationStructure.hand_designed(4, 10)
STEPS = 3
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def training_step(features: Tensor, targets: Tensor, *, branches: int | None) -> Callable[[], None]:
    """Return a training step of MS-TCN, with that many branches per layer or (None) as a plain network."""
    model = MSTCN(STRUCTURE, feature_dim=features.shape[1], num_classes=NUM_CLASSES)
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


def added_memory(frames: int, *, branches: int | None) -> int:
    """Return the bytes that training steps add to the peak of a fresh process.

    Args:
        frames: Length T of the one video in the batch.
        branches: Of each layer, or None for a plain network.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_steps, args=(theirs, frames, branches))
    process.start()
    added: int = ours.recv()
    process.join()
    return added


def memory_ratio(frames: int, *, branches: int, rounds: int) -> tuple[float, int, int]:
    """Return search / plain and the bytes of both, the least of some rounds each.

    What else happens in a process only adds to its peak.
    """
    search = min(added_memory(frames, branches=branches) for _ in range(rounds))
    plain = min(added_memory(frames, branches=None) for _ in range(rounds))
    return search / plain, search, plain


def _steps(result: Connection, frames: int, branches: int | None) -> None:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    features = torch.randn(1, FEATURE_DIM, frames)
    targets = torch.randint(NUM_CLASSES, (1, frames))
    # What the first step loads, on a video too short to matter.
    training_step(features[..., :32].contiguous(), targets[..., :32], branches=branches)()
    gc.collect()
    step = training_step(features, targets, branches=branches)
    CLEAR.write_text("5")  # the peak starts anew at what is resident now
    before = _kib("VmRSS")
    for _ in range(STEPS):
        step()
    result.send((_kib("VmHWM") - before) * 1024)


def _kib(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


def main() -> None:
    """Print one line per length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[300, 1100, 6000])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--branches", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-rounds", type=int, default=0, help="0: time only; Linux only")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for frames in options.frames:
        found = measure(frames, batch=options.batch, branches=options.branches, pairs=options.pairs)
        print(f"frames={frames} batch={options.batch} search/plain {found}", flush=True)
        if options.memory_rounds:
            ratio, search, plain = memory_ratio(
                frames, branches=options.branches, rounds=options.memory_rounds
            )
            print(f"  memory {ratio:.2f}: {search / 2**20:.0f} MiB / {plain / 2**20:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
