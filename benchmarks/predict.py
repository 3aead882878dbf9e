"""How much of onnxruntime's own speed `g2l predict` keeps: files in, labels out, against the bare loop.

Both run the same exported MS-TCN (4 stages, 10 layers, 64 feature maps, feature_dim 2048) over the same
videos. The bare loop calls the session on arrays that already lie in memory and drops what comes out;
ours reads the files, checks them, predicts, and writes labels and segments.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from benchmarks.timing import Ratio, paired
from g2l.config import BackboneConfig
from g2l.export.onnx_export import export_onnx
from g2l.inference.predictor import Predictor, VideoPrediction
from g2l.inference.sessions import open_session
from g2l.inference.writers import PredictionWriter
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone

FEATURE_DIM = 2048
CLASSES = 48


def measure(*, videos: int, pairs: int, threads: int | None = None) -> Ratio:
    """Return seconds of the bare loop over seconds of predict: the share of its speed that is kept."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        paths = _write_videos(root / "features", _lengths(videos))
        model = _write_model(root / "model.onnx")
        return compare(model, paths, root / "out", pairs=pairs, threads=threads)


def main() -> None:
    """Print frames per second of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    ratio = measure(videos=options.videos, pairs=options.pairs, threads=options.threads)
    frames = sum(_lengths(options.videos))
    print(f"bare onnxruntime: {frames / ratio.a_seconds:,.0f} frames/s")
    print(f"g2l predict:      {frames / ratio.b_seconds:,.0f} frames/s")
    print(f"kept: {ratio.median:.0%} ({ratio.low:.0%} to {ratio.high:.0%})")


def compare(model: Path, videos: Sequence[Path], output: Path, *, pairs: int, threads: int | None) -> Ratio:
    """Return seconds of the bare loop over seconds of predict: the share of its speed that is kept."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    bare = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    arrays = [np.load(path)[None] for path in videos]
    session = open_session(model, "cpu", threads)

    def run_bare() -> None:
        for array in arrays:
            bare.run(["probabilities"], {"features": array})

    def run_predict() -> None:
        writer = PredictionWriter(output, session.metadata)
        for result in Predictor(session).predict(videos):
            if not isinstance(result, VideoPrediction):
                raise result.error
            writer.add(result)
        writer.finish()

    return paired(run_bare, run_predict, pairs=pairs, warmup=1)


def _lengths(videos: int) -> list[int]:
    """Return lengths spread evenly from 300 to 6,000 frames, in random order."""
    lengths = np.linspace(300, 6000, videos).astype(int)
    return [int(length) for length in np.random.default_rng(0).permutation(lengths)]


def _write_videos(folder: Path, lengths: Sequence[int]) -> list[Path]:
    folder.mkdir()
    generator = np.random.default_rng(0)
    paths = [folder / f"video{number:03}.npy" for number in range(len(lengths))]
    for path, length in zip(paths, lengths, strict=True):
        np.save(path, generator.standard_normal((FEATURE_DIM, length), dtype=np.float32))
    return paths


def _write_model(path: Path) -> Path:
    torch.manual_seed(0)
    backbone = BackboneConfig()
    structure = backbone.hand_designed()
    classes = tuple(f"class{number}" for number in range(CLASSES))
    metadata = ModelMetadata(structure=structure, backbone=backbone, classes=classes, feature_dim=FEATURE_DIM)
    network = build_backbone(backbone, structure, feature_dim=FEATURE_DIM, num_classes=CLASSES)
    export_onnx(network, metadata, path)
    return path


if __name__ == "__main__":
    main()
