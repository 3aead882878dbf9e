"""How the cost of a step grows with the length of a video and the number of features.

    python -m benchmarks.growth [--repeats 3] [--page]

Every cell runs in a process of its own on one core: hand-designed MS-TCN, batch 1, random features. Time is
processor time, so that other processes disturb it little. Records are kept in `growth.json`, the page is
`GROWTH.md`; `--page` only writes the page.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.local_search_step import training_step
from benchmarks.study import BUDGET
from g2l.config import BackboneConfig
from g2l.export.onnx_export import export_onnx
from g2l.files import read_json, write_json, write_text
from g2l.inference.sessions import open_session
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone

RECORDS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_name("GROWTH.md")
CLASSES = 19
LENGTHS, DIM = (500, 1500, 5000, 15_000, 50_000), 64
DIMS, FRAMES = (6, 64, 512, 2048), 5000
QUANTITIES = {
    "train": "training step",
    "search": "local-search step",
    "predict": "prediction (onnxruntime)",
    "memory": "memory of a training step",
}
BRANCHES = 3
SETS = {"GTEA": (21, 1115, 50), "50Salads (15 fps)": (40, 5776, 50), "Breakfast": (1284, 2097, 50)}
"""Training videos of a fold, mean frames of a video, epochs: as published."""


def cell(quantity: str, frames: int, dim: int, repeats: int) -> list[float]:
    """Return seconds of each of some steps, or once the MiB that the first one adds."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # onnxruntime takes all cores that it may
    torch.set_num_threads(1)
    torch.manual_seed(0)
    features = torch.randn(1, dim, frames)
    if quantity == "predict":
        step = _prediction(features)
    else:
        targets = torch.randint(CLASSES, (1, frames))
        step = training_step(features, targets, branches=BRANCHES if quantity == "search" else None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    if quantity == "memory":
        return [(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024]
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        step()
        seconds.append(time.process_time() - start)
    return seconds


def _prediction(features: torch.Tensor) -> Callable[[], object]:
    backbone = BackboneConfig()
    structure, dim = backbone.hand_designed(), features.shape[1]
    names = tuple(f"class{number}" for number in range(CLASSES))
    metadata = ModelMetadata(structure=structure, backbone=backbone, classes=names, feature_dim=dim)
    network = build_backbone(backbone, structure, feature_dim=dim, num_classes=CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(network, metadata, Path(folder) / "model.onnx")
        session = open_session(Path(folder) / "model.onnx", "cpu")
    array = features[0].numpy()
    return lambda: session.probabilities(array)


def measure(repeats: int) -> None:
    """Measure what is missing."""
    records = read_json(RECORDS) if RECORDS.exists() else {}
    sizes = sorted({(frames, DIM) for frames in LENGTHS} | {(FRAMES, dim) for dim in DIMS})
    context = multiprocessing.get_context("spawn")
    for frames, dim in sizes:
        for quantity in QUANTITIES:
            key = f"{quantity}/{frames}/{dim}"
            if key not in records:
                with context.Pool(1) as pool:
                    records[key] = pool.apply(cell, (quantity, frames, dim, repeats))
                write_json(RECORDS, records)
                print(key, records[key], flush=True)


def exponent(sizes: tuple[int, ...], values: list[float]) -> float:
    """Return b of the least-squares fit of log(value) = a + b · log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def page(records: dict[str, Any]) -> str:
    """Return the page."""

    def value(quantity: str, frames: int, dim: int) -> float:
        return float(median(records[f"{quantity}/{frames}/{dim}"]))

    def row(quantity: str, values: list[float], sizes: tuple[int, ...]) -> str:
        shown = [f"{one:,.0f} MiB" if quantity == "memory" else f"{one:.3g} s" for one in values]
        return f"| {QUANTITIES[quantity]} | {' | '.join(shown)} | {exponent(sizes, values):.2f} |"

    def table(title: str, sizes: tuple[int, ...], at: Callable[[int], tuple[int, int]]) -> list[str]:
        return [
            f"| {title} | " + " | ".join(f"{size:,}" for size in sizes) + " | exponent |",
            "| --- " * (len(sizes) + 2) + "|",
            *(row(name, [value(name, *at(size)) for size in sizes], sizes) for name in QUANTITIES),
            "",
        ]

    second = value("train", FRAMES, 2048) / FRAMES
    return "\n".join(
        [
            "# How cost grows",
            "",
            "Made by `python -m benchmarks.growth`. Hand-designed MS-TCN (4 stages of 10 layers, "
            f"{BackboneConfig().feature_maps} feature maps), batch 1, one CPU thread, median of "
            f"{len(records[f'train/{FRAMES}/{DIM}'])} steps; processor time, measured beside other work. "
            "Seconds belong to this machine; the exponents carry over: 1 means twice the cost for twice "
            "the size.",
            "",
            f"Length T of a video, in frames; D = {DIM} features:",
            "",
            *table("T", LENGTHS, lambda size: (size, DIM)),
            f"Features D of a frame; T = {FRAMES:,}:",
            "",
            *table("D", DIMS, lambda size: (FRAMES, size)),
            "Time and memory grow nearly in proportion to T. D enters through the first layer alone.",
            "",
            "## Hours of a search",
            "",
            "Hours = trainings × epochs × videos × mean frames × seconds per frame / 3,600. Here a frame of "
            f"D = 2,048 takes {second * 1e6:.0f} µs of a training step, as above. One fold, one thread; the "
            f"default search costs at most {BUDGET} trainings.",
            "",
            "| data set | training videos | mean frames | one training | default search "
            "| the paper's search (510 trainings) |",
            "| --- | --- | --- | --- | --- | --- |",
            *(
                f"| {name} | {videos:,} | {frames:,} | {hours:.2f} h | {BUDGET * hours:,.1f} h "
                f"| {510 * hours:,.0f} h |"
                for name, (videos, frames, epochs) in SETS.items()
                for hours in [epochs * videos * frames * second / 3600]
            ),
            "",
            "`g2l search-global --dataset mine --dry-run` times steps on your data and machine instead.",
            "",
        ]
    )


def main() -> None:
    """Measure, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--page", action="store_true", help="Only write the page.")
    arguments = parser.parse_args()
    if not arguments.page:
        measure(arguments.repeats)
    write_text(PAGE, page(json.loads(RECORDS.read_text())))


if __name__ == "__main__":
    main()
