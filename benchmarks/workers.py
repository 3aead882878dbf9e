"""Worker processes of a search: how many more candidates two train than one, and their memory.

Run from the repository root: `python -m benchmarks.workers`; Linux only, as it reads `/proc`.

Throughput is timed once the workers have opened their data. Memory is measured on 2 GB of features, D = 2048.
What counts is anonymous memory: a process's own, which must stay in RAM. Maps of feature files are the
system's cache of these files, shared by all processes and dropped when memory is short; the proportional set
size (PSS), which divides them among the processes that map them, is printed beside.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.timing import Ratio, paired
from g2l.config import BackboneConfig, Budget, DataConfig, Normalization, RecipeConfig
from g2l.datasets.synthetic import kitchen, write_dataset
from g2l.evaluation import EvaluationStatus, EvaluationTask
from g2l.search.executors.process import ProcessExecutor
from g2l.structure import DilationStructure
from g2l.training.candidate import CandidateFitness

FEATURE_DIM, FRAMES, VIDEOS = 2048, 2560, 100
TINY = BackboneConfig(stages=1, layers=2, feature_maps=8)
MB = 1e6
SAMPLING_SECONDS = 0.02
BACKBONE = BackboneConfig()
BUDGET = Budget(8, "steps")
SEEDS = count()
"""No two candidates are the same."""
TORCH = "import torch; print(open('/proc/self/smaps_rollup').read())"


@dataclass
class Peak:
    """Largest values seen, in MB.

    Attributes:
        anonymous: Of any one process.
        pss: Of all processes together.
    """

    anonymous: float = 0.0
    pss: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look at the processes of the pool until told to stop."""
        while not self.stop.wait(SAMPLING_SECONDS):
            found = [fields for pid in _workers() if (fields := _rollup(pid))]
            self.anonymous = max([self.anonymous, *(fields["Pss_Anon"] for fields in found)])
            self.pss = max(self.pss, sum(fields["Pss"] for fields in found))


def peak_memory(data: DataConfig, workers: int, features: Path | None) -> Peak:
    """Return the peak while each worker trains one tiny network on all of the data."""
    fitness = CandidateFitness(
        data=data, backbone=TINY, recipe=RecipeConfig(), device="cpu", feature_folder=features
    )
    tasks = [
        EvaluationTask(DilationStructure(((1, 2**rate),)), Budget(1, "epochs"), 0) for rate in range(workers)
    ]
    with ProcessExecutor(fitness, workers=workers) as executor, _watched() as peak:
        for task in tasks:
            executor.submit(task)
        for evaluation in executor.results():
            if evaluation.status is EvaluationStatus.FAILED:
                raise RuntimeError(evaluation.reason)
    return peak


def throughput(*, pairs: int, candidates: int) -> Ratio:
    """Return seconds of one worker over seconds of two, for the same number of candidates.

    Args:
        pairs: Timed runs of each.
        candidates: Candidates in each run; an even number keeps both workers busy to the end.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_dataset(root, "small", kitchen(np.random.default_rng(0), videos=12, frames=500, feature_dim=64))
        fitness = CandidateFitness(
            data=DataConfig(data_root=root, dataset="small"),
            backbone=BACKBONE,
            recipe=RecipeConfig(),
            device="cpu",
            feature_folder=root / "shared",
        )
        with ProcessExecutor(fitness, workers=1) as one, ProcessExecutor(fitness, workers=2) as two:
            return paired(
                lambda: _train(one, candidates), lambda: _train(two, candidates), pairs=pairs, warmup=1
            )


def _train(executor: ProcessExecutor, candidates: int) -> None:
    structure = BACKBONE.hand_designed()
    for _ in range(candidates):
        executor.submit(EvaluationTask(structure, BUDGET, next(SEEDS)))
    for evaluation in executor.results():
        if evaluation.status is EvaluationStatus.FAILED:
            raise RuntimeError(evaluation.reason)


def main() -> None:
    """Measure both and print."""
    print(f"{os.cpu_count()} cores; one worker / two workers {throughput(pairs=5, candidates=6)}", flush=True)
    told = subprocess.run([sys.executable, "-c", TORCH], check=True, capture_output=True, text=True).stdout
    torch = _parse(told)["Pss_Anon"]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        data = _write(root)
        size = sum(path.stat().st_size for path in root.rglob("*.npy"))
        print(
            f"{VIDEOS} videos, D = {FEATURE_DIM}, {size / MB:,.0f} MB; `import torch` alone: {torch:.0f} MB"
        )
        for case, shared, normalize in [
            ("maps of the data's own files", True, Normalization.NONE),
            ("maps of standardised copies", True, Normalization.TRAIN),
            ("a cache in each worker", False, Normalization.NONE),
        ]:
            for workers in (1, 2):
                started = time.perf_counter()
                folder = root / f"features-{workers}" if shared else None
                peak = peak_memory(data.replace(normalize=normalize), workers, folder)
                print(
                    f"{case}, {workers} worker(s): {peak.anonymous - torch:.0f} MB each beyond torch; "
                    f"PSS together {peak.pss:,.0f} MB ({time.perf_counter() - started:.0f} s)",
                    flush=True,
                )


def _write(root: Path) -> DataConfig:
    generator = np.random.default_rng(0)
    folder = write_dataset(root, "large", kitchen(generator, videos=VIDEOS, frames=FRAMES, feature_dim=8))
    for path in (folder / "features").glob("*.npy"):
        frames = np.load(path, mmap_mode="r").shape[1]
        np.save(path, generator.standard_normal((FEATURE_DIM, frames), dtype=np.float32))
    return DataConfig(data_root=root, dataset="large")


@contextmanager
def _watched() -> Iterator[Peak]:
    peak = Peak()
    watcher = threading.Thread(target=peak.watch)
    watcher.start()
    try:
        yield peak
    finally:
        peak.stop.set()
        watcher.join()


def _workers() -> list[int]:
    """Return the process ids of our pool."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for path in children for pid in path.read_text().split()]
    return [pid for pid in pids if b"spawn_main" in _read(Path(f"/proc/{pid}/cmdline"))]


def _rollup(pid: int) -> dict[str, float]:
    return _parse(_read(Path(f"/proc/{pid}/smaps_rollup")).decode())


def _parse(text: str) -> dict[str, float]:
    """Return the fields of `smaps_rollup` in MB."""
    lines = (line.split() for line in text.splitlines()[1:] if line)
    return {name.rstrip(":"): int(kilobytes) * 1024 / MB for name, kilobytes, *_ in lines}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended
        return b""


if __name__ == "__main__":
    main()
