"""Runs every benchmark once and writes the table: `python -m benchmarks.results`.

All figures of the table come from this one run, on the machine that it names.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from benchmarks import (
    local_search_step,
    long_video,
    metrics,
    predict,
    prefetch,
    startup,
    training_step,
)
from benchmarks.timing import Ratio

RESULTS = Path(__file__).with_name("RESULTS.md")
FRAMES = (300, 1100, 6000)
PACKAGES = ("torch", "onnxruntime-gpu", "numpy", "typer")


def rows(pairs: int) -> Iterator[tuple[str, str, Ratio, str, str]]:
    """Yield what was compared, its size, the ratio, what it means, and the target."""
    for frames in FRAMES:
        yield (
            "training step: plain MS-TCN / g2l",
            f"T = {frames:,}",
            training_step.measure(frames, batch=1, pairs=pairs),
            "above 1: g2l is faster",
            "≥ 1.6" if frames == 1100 else "≥ 1",
        )
    for frames in FRAMES:
        yield (
            "local-search step (3 branches) / training step",
            f"T = {frames:,}",
            local_search_step.measure(frames, batch=1, branches=3, pairs=pairs),
            "1: searching costs nothing",
            "≤ 1.5" if frames == 300 else "≤ 1.25",
        )
    for frames in FRAMES[1:]:
        for cold in (False, True):
            yield (
                "training epoch: reading in turn / prefetching",
                f"T = {frames:,}, batch 4, {'cold' if cold else 'warm'} page cache",
                prefetch.measure(frames, batch=4, cold=cold, pairs=pairs),
                "why only a GPU prefetches: above 1 it would be faster",
                "none",
            )
    yield (
        "bare onnxruntime loop / g2l predict",
        "8 videos, T = 300 … 20,000, without the start",
        predict.measure(videos=8, pairs=max(3, pairs // 2)),
        "share of the bare speed that is kept",
        "≥ 0.9",
    )
    yield (
        "first labels of g2l predict / bare interpreter",
        "whole process, T = 300",
        predict.measure_start(pairs=max(3, pairs // 2)),
        "seconds of the first count",
        "≤ 2.5 s",
    )
    yield (
        "metrics: naive oracle / g2l",
        "5 videos, T = 2,000",
        metrics.against_oracle(videos=5, pairs=max(3, pairs // 2)),
        "above 1: g2l is faster",
        "≥ 1",
    )
    yield (
        "edit distance: a numpy row per segment / g2l",
        "2,000 pairs of 25 and 45 segments",
        metrics.against_rows(pairs=max(3, pairs // 2)),
        "what the bit-parallel form buys",
        "≥ 5",
    )
    yield (
        "metrics / counting equal frames",
        "2,000 videos, T = 2,000",
        metrics.against_counting(videos=2000, pairs=pairs),
        "seconds of the first count",
        "≤ 2 s",
    )
    yield (
        "g2l --help / bare interpreter",
        "whole process",
        startup.measure(pairs=pairs),
        "seconds of the first count",
        "≤ 0.4 s",
    )


def memory_rows() -> Iterator[str]:
    """Yield the rows on memory: bytes instead of seconds, the least of some processes instead of a median."""
    for frames in FRAMES[1:]:
        found, search, plain = local_search_step.memory_ratio(frames, branches=3, rounds=5)
        line = (
            f"| memory that a local-search step adds / a training step | T = {frames:,} | **{found:.2f}** "
            f"| {search / 2**20:.0f} MiB / {plain / 2**20:.0f} MiB | ≤ 1.15 | of peak resident memory |"
        )
        print(line, flush=True)
        yield line
    limit = "2GB"
    run = long_video.measure([limit])[limit]
    line = (
        f"| resident memory of g2l predict / `--max-memory {limit}` | one video, T = {long_video.FRAMES:,} "
        f"| **{run.peak_bytes / 2e9:.2f}** | {run.peak_bytes / 1e6:,.0f} MB / 2,000 MB | ≤ 1 "
        f"| at its peak, mapped files included; {run.seconds:,.0f} s |"
    )
    print(line, flush=True)
    yield line


def main() -> None:
    """Measure and write `RESULTS.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    options = parser.parse_args()
    lines = [_header(options.pairs)]
    for name, size, ratio, meaning, target in rows(options.pairs):
        line = (
            f"| {name} | {size} | **{ratio.median:.2f}** ({ratio.low:.2f} … {ratio.high:.2f}) "
            f"| {_seconds(ratio.a_seconds)} / {_seconds(ratio.b_seconds)} | {target} | {meaning} |"
        )
        print(line, flush=True)
        lines.append(line)
    lines += memory_rows()
    with tempfile.NamedTemporaryFile("w", dir=RESULTS.parent, delete=False, encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    Path(file.name).replace(RESULTS)


def _header(pairs: int) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    threads = f"{os.cpu_count()} cores, {torch.get_num_threads()} torch threads"
    return f"""# Speed

Generated by `python -m benchmarks.results` on {datetime.now(UTC):%Y-%m-%d}, not edited by hand. Seconds do
not carry over to other machines, ratios nearly do: both sides took turns in one process, {pairs} pairs.

- {platform.machine()}, {threads}, no GPU used; Python {platform.python_version()}
- {packages}
- MS-TCN with 4 stages of 10 layers and 64 feature maps, D = 2048, batch 1 unless said otherwise
- plain MS-TCN: `tests/oracles/plain_ms_tcn.py` (nn.Dropout, a mask per class, a loss per stage)

| compared | size | ratio (lowest … highest pair) | medians | target | reading |
|---|---|---|---|---|---|"""


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms" if seconds < 10 else f"{seconds:,.1f} s"


if __name__ == "__main__":
    main()
