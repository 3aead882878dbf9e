"""How much of onnxruntime's own speed `g2l predict` keeps: files in, labels out, against the bare loop.

Both run the same exported MS-TCN (4 stages, 10 layers, 64 feature maps, feature_dim 2048) over the same
videos of 300 to 20,000 frames, with the same number of threads. The bare loop calls the session on
arrays that already lie in memory and drops what comes out; ours reads the files, checks them, predicts,
and writes labels, segments and its record. What a process does once is left out of both: the session has
run before, and the memory that files are read into is not new. That is measured by itself, as the seconds
from the start of a process until the labels of its first video are there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from benchmarks.timing import Ratio, paired
from g2l.config import BackboneConfig
from g2l.export.onnx_export import export_onnx
from g2l.inference.predictor import Predictor
from g2l.inference.sessions import open_session
from g2l.inference.writers import PredictionWriter
from g2l.machine import usable_cores
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone
from g2l.pipeline.predict import PredictionRecord, predict_videos
from g2l.progress import NullProgress

FEATURE_DIM = 2048
CLASSES = 48
LENGTHS = (300, 20_000)
ROOT = Path(__file__).parents[1]


def measure(*, videos: int, pairs: int, clock: Callable[[], float] = time.perf_counter) -> Ratio:
    """Return seconds of the bare loop over seconds of predict: the share of its speed that is kept."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        paths = write_videos(root / "features", lengths(videos))
        return compare(write_model(root / "model.onnx"), paths, root / "out", pairs=pairs, clock=clock)


def measure_start(*, pairs: int) -> Ratio:
    """Return seconds from the start of `g2l predict` to its first labels over those of a bare interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_model(root / "model.onnx")
        write_videos(root / "features", [LENGTHS[0]])

        def first_video() -> None:
            arguments = ["--model", "model.onnx", "--features", "features", "--output", "out", "--quiet"]
            command = [sys.executable, "-m", "cli", "predict", *arguments, "--device", "cpu"]
            environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
            labels = root / "out" / "video000.txt"
            labels.unlink(missing_ok=True)
            process = subprocess.Popen(command, cwd=root, env=environment)
            while not labels.exists() and process.poll() is None:
                time.sleep(0.005)
            process.kill()  # what it records would wait for MLflow
            process.wait()

        def interpreter() -> None:
            subprocess.run([sys.executable, "-c", ""], check=True)

        return paired(first_video, interpreter, pairs=pairs, warmup=1)


def main() -> None:
    """Print frames per second of both and their ratio, and the seconds to the first video."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    frames = sum(lengths(options.videos))
    for name, clock in (("time", time.perf_counter), ("processor time", time.process_time)):
        ratio = measure(videos=options.videos, pairs=options.pairs, clock=clock)
        bare, ours = frames / ratio.a_seconds, frames / ratio.b_seconds
        kept = f"{ratio.median:.0%} ({ratio.low:.0%} to {ratio.high:.0%})"
        print(f"by {name}: bare onnxruntime {bare:,.0f} frames/s, g2l predict {ours:,.0f}; kept: {kept}")
    print(f"first labels after the start / bare interpreter: {measure_start(pairs=options.pairs)}")


def compare(
    model: Path, videos: Sequence[Path], output: Path, *, pairs: int, clock: Callable[[], float]
) -> Ratio:
    """Return seconds of the bare loop over seconds of predict."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    bare = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    arrays = [np.load(path)[None] for path in videos]
    session = open_session(model, "cpu")
    predictor = Predictor(session)

    def run_bare() -> None:
        for array in arrays:
            bare.run(["probabilities"], {"features": array})

    def run_predict() -> None:
        writer = PredictionWriter(output, session.metadata)
        record = PredictionRecord(output, {}, resume=False)
        done = predict_videos(videos, {}, predictor, writer, record, NullProgress())
        if done.failures:
            raise done.failures[0].error
        writer.finish()

    return paired(run_bare, run_predict, pairs=pairs, warmup=1, clock=clock)


def lengths(videos: int) -> list[int]:
    """Return lengths from 300 to 20,000 frames, each as many times the one before, in random order."""
    spread = np.geomspace(*LENGTHS, videos).astype(int)
    return [int(length) for length in np.random.default_rng(0).permutation(spread)]


def write_videos(folder: Path, frames: Sequence[int]) -> list[Path]:
    """Write random features, and return the files."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    paths = [folder / f"video{number:03}.npy" for number in range(len(frames))]
    for path, length in zip(paths, frames, strict=True):
        np.save(path, generator.standard_normal((FEATURE_DIM, length), dtype=np.float32))
    return paths


def write_model(path: Path) -> Path:
    """Export a network with random weights, and return `path`."""
    torch.manual_seed(0)
    backbone = BackboneConfig()
    structure = backbone.hand_designed()
    classes = tuple(f"class{number}" for number in range(CLASSES))
    metadata = ModelMetadata(structure=structure, backbone=backbone, classes=classes, feature_dim=FEATURE_DIM)
    network = build_backbone(backbone, structure, feature_dim=FEATURE_DIM, num_classes=CLASSES)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(1.5)  # a new network says the same of all frames; this one has some segments
    export_onnx(network, metadata, path)
    return path


if __name__ == "__main__":
    main()
