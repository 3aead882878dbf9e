"""A whole search of some seconds, made to be killed: a genetic search, a race and a final comparison."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file

from g2l.config import (
    BackboneConfig,
    CandidateCheckpoints,
    DataConfig,
    ExecutorKind,
    GlobalSearchConfig,
    ProxyChoice,
    RecipeConfig,
)
from g2l.datasets.synthetic import kitchen, write_dataset
from g2l.pipeline.candidates import GlobalSearchTask
from g2l.pipeline.context import open_run
from g2l.pipeline.search_global import prepare_search, search_globally

ABOUT_THE_RUN = {"run_id", "seconds", "checkpoint", "recorded", "artifacts", "at"}
"""Fields that tell of a run and not of what it found."""


def write_data(root: Path) -> DataConfig:
    """Write the data set and return how it is read: eight short videos of four subjects."""
    write_dataset(
        root, "tiny", kitchen(np.random.default_rng(5), videos=8, frames=60, classes=5, feature_dim=4)
    )
    return DataConfig(data_root=root, dataset="tiny")


def careful_task(data: DataConfig, executor: ExecutorKind) -> GlobalSearchTask:
    """Return the search."""
    return GlobalSearchTask(
        data=data,
        backbone=BackboneConfig(stages=2, layers=2, feature_maps=4),
        recipe=RecipeConfig(epochs=6, batch_size=2, learning_rate=5e-2),
        search=GlobalSearchConfig(
            generations=3,
            population=3,
            proxy=ProxyChoice.THIRD,
            leaders=2,
            final_seeds=2,
            fitness="accuracy",
            max_exponent=4,
            candidate_checkpoints=CandidateCheckpoints.ELITE,
            executor=executor,
            workers=1 if executor is ExecutorKind.SERIAL else 2,
        ),
        seed=1,
    )


def run(
    folder: Path, data: DataConfig, executor: ExecutorKind, log: Path, evaluations: Path | None = None
) -> None:
    """Search, or go on with what `folder` holds, as the leader of a process group of its own.

    Args:
        folder: Output folder of the search.
        data: The data set.
        executor: Where candidates are trained.
        log: Where all that is printed is appended.
        evaluations: Folder of evaluations that searches share, or None.
    """
    os.setpgid(0, 0)
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    torch.set_num_threads(1)
    with open_run(folder, device="cpu", resume=True, evaluations=evaluations) as context:
        search = prepare_search(context.data, careful_task(data, executor))
        search_globally(context, search)


def outcome(folder: Path) -> dict[str, Any]:
    """Return all that a search leaves, less what is told about the run itself: by file, what it says.

    The lines of a journal are sorted: candidates may complete in any order.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".json" and path.name != "run.json":
            found[name] = _without_run(json.loads(path.read_text()))
        elif path.name == "journal.jsonl":
            lines = [_without_run(json.loads(line)) for line in path.read_text().splitlines()]
            found[name] = sorted(json.dumps(line, sort_keys=True) for line in lines)
        elif path.suffix == ".safetensors":
            found[name] = {key: value.tobytes() for key, value in load_file(path).items()}
    return found


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Return the files that two outcomes do not have in common."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def _without_run(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_run(item) for key, item in value.items() if key not in ABOUT_THE_RUN}
    return [_without_run(item) for item in value] if isinstance(value, list) else value
