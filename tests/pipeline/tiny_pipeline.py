"""Stages of some hundred milliseconds on eight short videos, shared by the tests of this folder.

`run_stage` is what they kill: it runs one stage in a process of its own.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from g2l.config import (
    BackboneConfig,
    Budget,
    CandidateCheckpoints,
    DataConfig,
    ExecutorKind,
    GlobalSearchConfig,
    LocalRule,
    LocalSearchConfig,
    RecipeConfig,
    Strategy,
)
from g2l.datasets.synthetic import kitchen, write_dataset
from g2l.inference.devices import Device
from g2l.inference.segments import Format
from g2l.inference.sessions import TorchSession
from g2l.inference.writers import Outputs
from g2l.models.metadata import ModelMetadata
from g2l.models.registry import build_backbone
from g2l.pipeline.candidates import GlobalSearchTask
from g2l.pipeline.context import RunContext, open_run
from g2l.pipeline.export import export_model
from g2l.pipeline.fitting import Training
from g2l.pipeline.pipeline import PipelineTask, run_folds, run_pipeline
from g2l.pipeline.predict import predict
from g2l.pipeline.search_global import prepare_search, search_globally
from g2l.pipeline.search_local import LocalSearchTask, search_locally
from g2l.pipeline.train import train
from g2l.records import read_result
from g2l.structure import DilationStructure

BACKBONE = BackboneConfig(stages=2, layers=2, feature_maps=4)
DUAL = BackboneConfig(name="ms-tcn++", stages=2, layers=2, prediction_layers=1, feature_maps=4)
"""Of the same shape: one dual layer has two rates."""
CAUSAL = BackboneConfig(stages=2, layers=2, feature_maps=4, causal=True)
ATTENTION = BackboneConfig(name="asformer", stages=2, layers=2, feature_maps=4)
RECIPE = RecipeConfig(epochs=3, batch_size=2, learning_rate=5e-2)
GLOBAL = GlobalSearchConfig(
    strategy=Strategy.GENETIC,
    population=3,
    generations=2,
    budget=Budget(4, "steps"),
    fitness="accuracy",
    max_exponent=4,
)
LOCAL = LocalSearchConfig(
    interval=Budget(3, "steps"),
    updates=2,
    branch_learning_rate=0.5,
    expansion_rate=0.5,
    rule=LocalRule.EXPECTATION,
)
STRUCTURE = DilationStructure(((2, 8), (4,)))
"""Of fewer layers than the hand-designed one, and not of equally many in each stage."""
SEEDS = (0, 1)


def write_tiny(root: Path, name: str = "tiny") -> DataConfig:
    """Write the data set and return how it is read: 5 training videos of 4 subjects, 3 test videos."""
    data = kitchen(np.random.default_rng(5), videos=8, frames=60, classes=5, feature_dim=4)
    write_dataset(root, name, data)
    return DataConfig(data_root=root, dataset=name)


def write_folds(root: Path, name: str = "folds") -> DataConfig:
    """Write a data set of three folds that test on 3 of 14 videos each; 5 are in the train part of all."""
    data = kitchen(np.random.default_rng(5), videos=14, frames=60, classes=5, feature_dim=4)
    names = [video.name for video in data.videos]
    sides = {fold: tuple(names[3 * fold - 3 : 3 * fold]) for fold in (1, 2, 3)}
    splits = {fold: (tuple(one for one in names if one not in test), test) for fold, test in sides.items()}
    write_dataset(root, name, replace(data, splits=splits))
    return DataConfig(data_root=root, dataset=name)


def global_task(data: DataConfig, backbone=BACKBONE, seed=0, **changes) -> GlobalSearchTask:
    return GlobalSearchTask(
        data=data, backbone=backbone, recipe=RECIPE, search=GLOBAL.replace(**changes), seed=seed
    )


def local_task(
    data: DataConfig, structure=STRUCTURE, recipe=RECIPE, backbone=BACKBONE, **changes
) -> LocalSearchTask:
    return LocalSearchTask(
        data=data,
        backbone=backbone,
        recipe=recipe,
        search=LOCAL.replace(**changes),
        structure=structure,
        seed=0,
    )


def training(data: DataConfig, backbone=BACKBONE, **changes) -> Training:
    """Return what is trained; `changes` are of the recipe."""
    return Training(
        data=data,
        backbone=backbone,
        recipe=RECIPE.replace(**changes),
        structure=STRUCTURE,
        origin="searched",
    )


def pipeline_task(data: DataConfig, backbone=BACKBONE) -> PipelineTask:
    return PipelineTask(
        data=data,
        backbone=backbone,
        recipe=RECIPE,
        global_search=GLOBAL,
        local_search=LOCAL,
        seeds=1,
        seed=0,
    )


def folds_task(data: DataConfig) -> PipelineTask:
    return replace(pipeline_task(data), seeds=len(SEEDS))


def network_of(data: DataConfig) -> tuple[nn.Module, ModelMetadata]:
    """Return an untrained network for the data set, always the same."""
    names = (data.data_root / data.dataset / "mapping.txt").read_text().split()[1::2]
    metadata = ModelMetadata(
        structure=STRUCTURE, backbone=BACKBONE, classes=tuple(names), feature_dim=4, fps=5.0
    )
    torch.manual_seed(0)
    return build_backbone(BACKBONE, STRUCTURE, feature_dim=4, num_classes=len(names)), metadata


def run_stage(
    stage: str,
    folder: Path,
    data: DataConfig,
    kill_at: int | None = None,
    workers: int = 0,
    backbone: BackboneConfig = BACKBONE,
):
    """Run a stage, going on with what `folder` holds.

    Args:
        stage: Which one.
        folder: Its output folder.
        data: The data set.
        kill_at: Number of the flush to disk, from 1, before which the process kills itself: no handler, no
            clean-up. Every file that matters is flushed, and between two flushes nothing is kept.
        workers: Processes of the global search, 0 for none.
        backbone: The network.
    """
    torch.set_num_threads(1)
    if kill_at is not None:
        _kill_at_flush(kill_at)
    with open_run(folder, device="cpu", resume=True) as context:
        _run_stage(context, stage, data, workers, backbone)


def _run_stage(
    context: RunContext, stage: str, data: DataConfig, workers: int, backbone: BackboneConfig
) -> None:
    if stage == "search-global":
        executor = ExecutorKind.PROCESS if workers else ExecutorKind.SERIAL
        task = global_task(
            data,
            backbone,
            executor=executor,
            workers=workers or 1,
            candidate_checkpoints=CandidateCheckpoints.ELITE,
        )
        search_globally(context, prepare_search(context.data, task))
    elif stage == "search-local":
        search_locally(context, local_task(data, recipe=RECIPE.replace(epochs=4), backbone=backbone))
    elif stage == "train":
        train(context, training(data, backbone), 0, len(SEEDS))
    elif stage == "predict":
        place = data.data_root / data.dataset
        session = TorchSession(*network_of(data), Device.CPU)
        outputs = Outputs(formats=(Format.EAF,), probabilities=True)
        predict(context, session, [place / "features"], ground_truth=place / "groundTruth", outputs=outputs)
    elif stage == "export":
        if read_result(context.folder) is None:
            export_model(context, *network_of(data), context.folder.with_suffix(".onnx"))
    elif stage == "folds":
        run_folds(context, folds_task(data), (1, 2, 3), workers=workers or 1)
    else:
        run_pipeline(context, pipeline_task(data, backbone))


def _kill_at_flush(number: int) -> None:
    flush, flushes = os.fsync, []

    def counted(descriptor: int) -> None:
        flushes.append(descriptor)
        if len(flushes) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        flush(descriptor)

    os.fsync = counted
