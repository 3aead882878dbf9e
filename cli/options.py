"""Options that several commands share, in groups; each group turns itself into a configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from g2l.config import (
    BackboneConfig,
    CandidateCheckpoints,
    DataConfig,
    ExecutorKind,
    GlobalSearchConfig,
    LocalSearchConfig,
    Normalization,
    RecipeConfig,
    Selection,
)
from g2l.errors import InputError
from g2l.evaluation import Budget
from g2l.presets import PRESETS, Preset

DATA, NETWORK, RECIPE, SEARCH, LOCAL, RUN = (
    "Data",
    "Network",
    "Training",
    "Global search",
    "Local search",
    "Run",
)

LARGEST_SEED = 2**31 - 1
"""What torch, numpy and scikit-learn all take, with room for the seeds after it."""


@dataclass(frozen=True)
class DataOptions:
    """Which data, and how it is read."""

    dataset: Annotated[
        str, typer.Option(help="Folder of the data set below the data root.", rich_help_panel=DATA)
    ]
    data_root: Annotated[Path, typer.Option(help="Folder that holds data sets.", rich_help_panel=DATA)] = (
        Path("data")
    )
    split: Annotated[
        int, typer.Option(help="Fold k of splits/train.split<k>.bundle.", rich_help_panel=DATA)
    ] = 1
    sample_rate: Annotated[
        int,
        typer.Option(help="Use every r-th frame; predictions are repeated r times.", rich_help_panel=DATA),
    ] = 1
    normalize: Annotated[
        Normalization,
        typer.Option(help="Standardise each feature row over the video or over train.", rich_help_panel=DATA),
    ] = Normalization.NONE
    background: Annotated[
        list[str] | None,
        typer.Option(
            help="Class left out of Edit and F1; repeatable; '' for none. (default: background)",
            rich_help_panel=DATA,
        ),
    ] = None
    holdout_fraction: Annotated[
        float, typer.Option(help="Share of train held out for selection.", rich_help_panel=DATA)
    ] = 0.25
    group_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression whose group is the subject in a video name; '' for none. "
            "(default: GTEA, 50Salads and Breakfast names)",
            rich_help_panel=DATA,
        ),
    ] = None
    cache_mb: Annotated[int, typer.Option(help="RAM for decoded videos, in MiB.", rich_help_panel=DATA)] = (
        1024
    )
    fps: Annotated[
        float | None, typer.Option(help="Frames per second of the features.", rich_help_panel=DATA)
    ] = None

    def config(self, seed: int) -> DataConfig:
        """Return the validated configuration; the hold-out is cut by `seed`."""
        return DataConfig(
            data_root=self.data_root,
            dataset=self.dataset,
            split=self.split,
            sample_rate=self.sample_rate,
            normalize=self.normalize,
            background=class_names(self.background),
            holdout_fraction=self.holdout_fraction,
            group_pattern=self.group_pattern,
            cache_mb=self.cache_mb,
            fps=self.fps,
            seed=seed,
        ).validate()


@dataclass(frozen=True)
class BackboneOptions:
    """Size of the network."""

    backbone: Annotated[
        str, typer.Option(help="Name, or package.module:factory.", rich_help_panel=NETWORK)
    ] = "ms-tcn"
    stages: Annotated[int, typer.Option(help="Stages.", rich_help_panel=NETWORK)] = 4
    layers: Annotated[int, typer.Option(help="Layers per stage.", rich_help_panel=NETWORK)] = 10
    feature_maps: Annotated[int, typer.Option(help="Channels inside a stage.", rich_help_panel=NETWORK)] = 64

    def config(self) -> BackboneConfig:
        """Return the validated configuration."""
        from g2l.models.registry import find_backbone

        find_backbone(self.backbone)  # an unknown one is told before anything is written
        return BackboneConfig(
            name=self.backbone, stages=self.stages, layers=self.layers, feature_maps=self.feature_maps
        ).validate()


@dataclass(frozen=True)
class RecipeOptions:
    """How a network is trained; what is not given comes from the preset."""

    preset: Annotated[
        str, typer.Option(help="Defaults of all stages: fast or paper.", rich_help_panel=RECIPE)
    ] = "fast"
    epochs: Annotated[
        int | None, typer.Option(help="Epochs. (fast: 50, paper: 65)", rich_help_panel=RECIPE)
    ] = None
    batch_size: Annotated[
        int | None, typer.Option(help="Videos per step. (fast: 4, paper: 8)", rich_help_panel=RECIPE)
    ] = None
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam. (5e-4)", rich_help_panel=RECIPE)] = (
        None
    )
    decay_epoch: Annotated[
        int | None,
        typer.Option(
            help="Epoch after which the rate is cut to a tenth. (paper: 50)", rich_help_panel=RECIPE
        ),
    ] = None
    gradient_clip: Annotated[
        float | None, typer.Option(help="Largest gradient norm. (off)", rich_help_panel=RECIPE)
    ] = None
    selection: Annotated[
        Selection | None,
        typer.Option(
            help="best: best epoch on a hold-out cut from train; last: all of train, last epoch. (best)",
            rich_help_panel=RECIPE,
        ),
    ] = None

    def defaults(self) -> Preset:
        """Return the preset.

        Raises:
            InputError: There is none of that name.
        """
        if self.preset not in PRESETS:
            raise InputError(f"`preset` must be one of {', '.join(PRESETS)}, but is {self.preset!r} instead.")
        return PRESETS[self.preset]

    def config(self) -> RecipeConfig:
        """Return the validated configuration."""
        return (
            self.defaults()
            .recipe.replace(
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                decay_epoch=self.decay_epoch,
                gradient_clip=self.gradient_clip,
                selection=self.selection,
            )
            .validate()
        )


@dataclass(frozen=True)
class GlobalOptions:
    """The genetic search; what is not given comes from the preset."""

    population: Annotated[
        int | None,
        typer.Option(help="Structures per generation. (fast: 12, paper: 50)", rich_help_panel=SEARCH),
    ] = None
    generations: Annotated[
        int | None, typer.Option(help="Generations. (fast: 6, paper: 100)", rich_help_panel=SEARCH)
    ] = None
    proxy_epochs: Annotated[
        int | None,
        typer.Option(help="Training of a candidate, in epochs. (paper: 5)", rich_help_panel=SEARCH),
    ] = None
    proxy_steps: Annotated[
        int | None,
        typer.Option(help="Training of a candidate, in optimiser steps. (fast: 120)", rich_help_panel=SEARCH),
    ] = None
    fitness: Annotated[
        str | None,
        typer.Option(
            help="Hold-out metric: f1 (mean of F1@10,25,50), f1@10, f1@25, f1@50, edit, accuracy. (f1)",
            rich_help_panel=SEARCH,
        ),
    ] = None
    executor: Annotated[
        ExecutorKind | None,
        typer.Option(
            help="Where candidates are trained. (process on the CPU, serial on a GPU)", rich_help_panel=SEARCH
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(help="Processes of the process executor. (one per core)", rich_help_panel=SEARCH),
    ] = None
    candidate_checkpoints: Annotated[
        CandidateCheckpoints | None,
        typer.Option(help="Which candidates keep their weights. (all)", rich_help_panel=SEARCH),
    ] = None

    def config(self, defaults: GlobalSearchConfig, device: str) -> GlobalSearchConfig:
        """Return the validated configuration.

        Args:
            defaults: Those of the preset.
            device: `auto`, `cpu` or `cuda`, which decides where candidates are trained by default.
        """
        executor, workers = executor_for(device, self.executor, self.workers)
        return defaults.replace(
            population=self.population,
            generations=self.generations,
            budget=budget("proxy", self.proxy_epochs, self.proxy_steps),
            fitness=self.fitness,
            executor=executor,
            workers=workers,
            candidate_checkpoints=self.candidate_checkpoints,
        ).validate()


@dataclass(frozen=True)
class LocalOptions:
    """The expectation-guided search; what is not given comes from the preset."""

    expansion_rate: Annotated[
        float | None, typer.Option(help="ρ: branches at (1 ± ρ)d. (0.1)", rich_help_panel=LOCAL)
    ] = None
    branches: Annotated[int | None, typer.Option(help="Branches per layer. (3)", rich_help_panel=LOCAL)] = (
        None
    )
    updates: Annotated[
        int | None,
        typer.Option(help="Estimates; the last collapses the branches. (10)", rich_help_panel=LOCAL),
    ] = None
    interval_epochs: Annotated[
        int | None, typer.Option(help="Epochs between two estimates. (paper: 3)", rich_help_panel=LOCAL)
    ] = None
    interval_steps: Annotated[
        int | None, typer.Option(help="Steps between two estimates. (fast: 20)", rich_help_panel=LOCAL)
    ] = None
    branch_learning_rate: Annotated[
        float | None, typer.Option(help="Adam's rate for the branch weights. (2e-3)", rich_help_panel=LOCAL)
    ] = None

    def config(self, defaults: LocalSearchConfig) -> LocalSearchConfig:
        """Return the validated configuration."""
        return defaults.replace(
            expansion_rate=self.expansion_rate,
            branches=self.branches,
            updates=self.updates,
            interval=budget("interval", self.interval_epochs, self.interval_steps),
            branch_learning_rate=self.branch_learning_rate,
        ).validate()


Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=RUN)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say only warnings and errors.", rich_help_panel=RUN)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


@dataclass(frozen=True)
class RunOptions:
    """How a command runs."""

    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of everything random.", rich_help_panel=RUN)
    ] = 0
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=RUN)] = "auto"
    output_dir: Annotated[
        Path | None,
        typer.Option(help="(default: runs/<command>/<dataset>-split<k>/<run>)", rich_help_panel=RUN),
    ] = None
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="Continue the run in --output-dir, or else the latest one.",
            rich_help_panel=RUN,
        ),
    ] = False
    quiet: Quiet = False
    debug: Debug = False


def executor_for(device: str, executor: ExecutorKind | None, workers: int | None) -> tuple[ExecutorKind, int]:
    """Return where candidates are trained: a process per core on the CPU, one after the other on a GPU.

    Args:
        device: `auto`, `cpu` or `cuda`.
        executor: What the user chose, or None.
        workers: What the user chose, or None.

    Raises:
        InputError: The device is unknown, or several workers are to be serial.
    """
    from g2l.training.device import resolve_device

    if executor is ExecutorKind.SERIAL and workers not in (None, 1):
        raise InputError(f"`workers` must be 1 with --executor serial, but is {workers} instead.")
    if executor is None:
        alone = workers == 1 or (workers is None and resolve_device(device).type == "cuda")
        executor = ExecutorKind.SERIAL if alone else ExecutorKind.PROCESS
    if executor is ExecutorKind.SERIAL:
        return executor, 1
    return executor, workers if workers is not None else os.cpu_count() or 1


def budget(name: str, epochs: int | None, steps: int | None) -> Budget | None:
    """Return the budget that was given, None when none was.

    Raises:
        InputError: Both units were given, or one is below 1.
    """
    if epochs is not None and steps is not None:
        raise InputError(f"give --{name}-epochs or --{name}-steps, not both.")
    for unit, amount in (("epochs", epochs), ("steps", steps)):
        if amount is not None and amount < 1:
            raise InputError(f"`{name}_{unit}` must be >= 1, but is {amount} instead.")
    if epochs is not None:
        return Budget(epochs, "epochs")
    return None if steps is None else Budget(steps, "steps")


def class_names(values: list[str] | None) -> tuple[str, ...]:
    """Return the background classes: the default when none was given, nothing for ''."""
    if values is None:
        return ("background",)
    return tuple(value for value in values if value)
