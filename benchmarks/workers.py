"""How many more candidates a second two worker processes train than one, on two cores.

Run from the repository root: `python -m benchmarks.workers`. Workers are started and have opened their data
before the clock is.
"""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.timing import Ratio, paired
from g2l.config import BackboneConfig, DataConfig, RecipeConfig
from g2l.datasets.synthetic.kitchen import kitchen
from g2l.datasets.synthetic.writer import write_dataset
from g2l.evaluation import Budget, EvaluationStatus, EvaluationTask
from g2l.search.executors.process import ProcessExecutor
from g2l.training.candidate import CandidateFitness

BACKBONE = BackboneConfig()
BUDGET = Budget(8, "steps")
SEEDS = count()
"""No two candidates are the same."""


def measure(*, pairs: int, candidates: int) -> Ratio:
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


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores; one worker / two workers {measure(pairs=5, candidates=6)}")
