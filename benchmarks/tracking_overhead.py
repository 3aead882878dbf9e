"""What MLflow costs a search: the same one with a tracker on sqlite and with none, in turns.

A ratio of whole searches cannot show two percent on a machine that does other things too. But what is
tracked of a candidate does not depend on how long it is trained: so candidates are trained for an instant,
the seconds of processors that tracking adds are counted, and divided by the length of a candidate. A tracker
sends from a thread of its own: on a machine with an idle core the wall clock shows less of it.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
import torch

from g2l.config import BackboneConfig, Budget, DataConfig, GlobalSearchConfig, RecipeConfig, Strategy
from g2l.datasets.synthetic import kitchen, write_dataset
from g2l.pipeline.candidates import GlobalSearchTask
from g2l.pipeline.context import open_run
from g2l.pipeline.search_global import prepare_search, search_globally
from g2l.tracking.process import Upload

LENGTHS = (1.0, 5.0, 30.0)
"""Seconds of a candidate; the shortest ones that are worth searching with take about five."""


def measure(folder: Path, *, pairs: int) -> list[float]:
    """Return, for each pair of searches, the seconds of processors that tracking adds to one candidate."""
    os.chdir(folder)
    data = _write(folder / "data")
    numbers = count()

    def spent(*, tracked: bool) -> float:
        started = _processor_seconds()
        upload = Upload() if tracked else None
        start = None if upload is None else upload.start
        with open_run(folder / f"run-{next(numbers)}", device="cpu", on_start=start) as context:
            search = prepare_search(context.data, _task(data))
            found = search_globally(context, search)
        if upload is not None:
            upload.finish()
        return (_processor_seconds() - started) / found.evaluations

    spent(tracked=True)  # makes the store
    spent(tracked=False)
    return [spent(tracked=True) - spent(tracked=False) for _ in range(pairs)]


def _processor_seconds() -> float:
    """Return what this process and its ended children, the uploaders, have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    """Print what a candidate's tracking costs, and which share of candidates of some lengths that is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    logging.getLogger("g2l").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(Path(folder), pairs=options.pairs)
    middle, low, high = median(costs), min(costs), max(costs)
    print(f"tracking a candidate: {middle * 1e3:.0f} ms of processors ({low * 1e3:.0f} to {high * 1e3:.0f})")
    for seconds in LENGTHS:
        share = f"{middle / seconds:.1%} ({low / seconds:.1%} to {high / seconds:.1%})"
        print(f"candidates of {seconds:g} s: {share}")


def _task(data: DataConfig) -> GlobalSearchTask:
    return GlobalSearchTask(
        data=data,
        backbone=BackboneConfig(stages=2, layers=3, feature_maps=4),
        recipe=RecipeConfig(epochs=1, batch_size=1),
        search=GlobalSearchConfig(
            strategy=Strategy.GENETIC, population=8, generations=4, budget=Budget(1, "steps"), max_exponent=6
        ),
        seed=0,
    )


def _write(root: Path) -> DataConfig:
    content = kitchen(np.random.default_rng(0), videos=8, frames=100, classes=6, feature_dim=4)
    write_dataset(root, "kitchen", content)
    return DataConfig(data_root=root, dataset="kitchen")


if __name__ == "__main__":
    main()
