"""How much memory a training step of the local search takes beside a plain one.

Each is measured in a process of its own: what its peak resident memory grows by during three steps, on top of
libraries, features and network, weights of the optimizer and gradients included. Linux only.

Run from the repository root: `python -m benchmarks.step_memory`.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from benchmarks.local_search_step import FEATURE_DIM, NUM_CLASSES, training_step

STEPS = 3
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure(frames: int, *, branches: int | None) -> int:
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


def ratio(frames: int, *, branches: int, rounds: int) -> tuple[float, int, int]:
    """Return search / plain and the bytes of both, the least of some rounds each.

    What else happens in a process only adds to its peak.
    """
    search = min(measure(frames, branches=branches) for _ in range(rounds))
    plain = min(measure(frames, branches=None) for _ in range(rounds))
    return search / plain, search, plain


def main() -> None:
    """Print one line per length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[1100, 6000])
    parser.add_argument("--branches", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for frames in arguments.frames:
        found, search, plain = ratio(frames, branches=arguments.branches, rounds=arguments.rounds)
        print(f"frames={frames} search/plain {found:.2f}: {search / 2**20:.0f} MiB / {plain / 2**20:.0f} MiB")


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


if __name__ == "__main__":
    main()
