"""A video far larger than memory: resident memory and speed of `g2l predict`, in tiles.

Run from the repository root: `python -m benchmarks.long_video`. It writes a feature file of 10 hours at 30
frames/s with feature_dim 2048 (8.8 GB) into a temporary folder (`TMPDIR` says where there is room), and
predicts it in a process of its own, whose largest resident memory the system reports: all of it, mapped
files too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.predict import FEATURE_DIM, write_model

FRAMES = 1_080_000
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class LongRun:
    """One prediction of the video.

    Attributes:
        seconds: Of the whole process.
        peak_bytes: Largest resident memory of the process.
        labels: Digest of the label file.
    """

    seconds: float
    peak_bytes: int
    labels: str


def main() -> None:
    """Predict once with each memory and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--max-memory", nargs="+", default=["2GB"], help="two or more are compared")
    options = parser.parse_args()
    runs = measure(options.max_memory, frames=options.frames)
    for memory, run in runs.items():
        speed = f"{run.seconds:.0f} s, {options.frames / run.seconds:,.0f} frames/s"
        print(f"--max-memory {memory}: {run.peak_bytes / 1e9:.2f} GB resident at most, {speed}")
    if len(runs) > 1:
        same = len({run.labels for run in runs.values()}) == 1
        print("the labels are the same" if same else "THE LABELS DIFFER")


def measure(max_memory: Sequence[str], *, frames: int = FRAMES) -> dict[str, LongRun]:
    """Predict a video once with each memory."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_model(root / "model.onnx")
        write_video(root / "video.npy", frames)
        return {memory: predict(root, memory) for memory in max_memory}


def predict(root: Path, max_memory: str) -> LongRun:
    """Predict `video.npy` by `model.onnx` of a folder as a process of its own."""
    arguments = ["--model", "model.onnx", "--features", "video.npy", "--output", max_memory, "--quiet"]
    arguments += ["--device", "cpu", "--max-memory", max_memory]
    command = [sys.executable, "-m", "cli", "predict", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=root, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"g2l predict failed with {process.returncode}")
    digest = hashlib.sha256((root / max_memory / "video.txt").read_bytes()).hexdigest()
    return LongRun(time.perf_counter() - start, usage.ru_maxrss * 1024, digest)


def write_video(path: Path, frames: int) -> None:
    """Write random features (D, frames), a row at a time."""
    generator = np.random.default_rng(0)
    noise = generator.standard_normal(frames + FEATURE_DIM, dtype=np.float32)
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (FEATURE_DIM, frames)}
        np.lib.format.write_array_header_1_0(file, header)
        for row in generator.permutation(FEATURE_DIM):
            file.write(noise[row : row + frames].data)


if __name__ == "__main__":
    main()
