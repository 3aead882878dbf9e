"""What MLflow costs a search: the same one with a tracker on sqlite and with none, in turns.

Both train the same candidates one after the other in this process. What a tracker sends it sends from a
thread of its own, so that the wall clock shows less of it than the seconds of processors. These in turn
hardly depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.timing import Ratio, paired
from g2l.config import BackboneConfig, DataConfig, RecipeConfig
from g2l.datasets.synthetic.kitchen import kitchen
from g2l.datasets.synthetic.writer import write_dataset
from g2l.evaluation import Budget
from g2l.pipeline.candidates import GlobalSearchTask
from g2l.pipeline.global_search import search_globally
from g2l.pipeline.stage import Workplace
from g2l.search_config import GlobalSearchConfig
from g2l.tracking.mlflow_tracker import MlflowTracker
from g2l.tracking.protocol import NullTracker, Tracker


@dataclass(frozen=True)
class Overhead:
    """What was measured.

    Attributes:
        wall: Seconds of a tracked search over seconds of an untracked one.
        processors: The same in seconds of processors: medians over all searches.
        candidate: Median seconds of a candidate.
    """

    wall: Ratio
    processors: float
    candidate: float


def measure(folder: Path, *, steps: int, pairs: int) -> Overhead:
    """Compare tracked searches with untracked ones.

    Args:
        folder: Where data, runs and the store are written.
        steps: Optimiser steps of one candidate.
        pairs: Searches of each kind.
    """
    os.chdir(folder)
    data = _write(folder / "data")
    numbers = count()
    seconds: list[float] = []
    spent: dict[bool, list[float]] = {True: [], False: []}

    def search(tracker: Tracker) -> None:
        place = Workplace(folder=folder / f"run-{next(numbers)}", tracker=tracker, device="cpu")
        found = search_globally(place, _task(data, steps), on_plan=lambda plan: None)
        seconds.append(found.seconds / found.evaluations)

    def tracked() -> None:
        started = time.process_time()
        tracker = MlflowTracker(spool=folder / "spool")
        search(tracker)
        tracker.close()
        spent[True].append(time.process_time() - started)

    def untracked() -> None:
        started = time.process_time()
        search(NullTracker())
        spent[False].append(time.process_time() - started)

    wall = paired(tracked, untracked, pairs=pairs, warmup=1)
    with_tracker, without = (median(spent[kind][1:]) for kind in (True, False))  # the first ones warmed up
    return Overhead(wall, with_tracker / without, median(seconds))


def main() -> None:
    """Print the ratio, and how long a candidate was."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=160, help="optimiser steps of one candidate")
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    logging.getLogger("g2l").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), steps=options.steps, pairs=options.pairs)
    print(f"tracked / untracked search, wall clock: {found.wall}")
    print(f"MLflow's share on candidates of {found.candidate:.1f} s:")
    print(f"wall clock {found.wall.median - 1:.1%}, processors {found.processors - 1:.1%}")


def _task(data: DataConfig, steps: int) -> GlobalSearchTask:
    return GlobalSearchTask(
        data=data,
        backbone=BackboneConfig(stages=2, layers=6, feature_maps=32),
        recipe=RecipeConfig(epochs=5, batch_size=1),
        search=GlobalSearchConfig(population=3, generations=2, budget=Budget(steps, "steps"), max_exponent=6),
        seed=0,
    )


def _write(root: Path) -> DataConfig:
    content = kitchen(np.random.default_rng(0), videos=12, frames=1000, classes=6, feature_dim=64)
    write_dataset(root, "kitchen", content)
    return DataConfig(data_root=root, dataset="kitchen")


if __name__ == "__main__":
    main()
