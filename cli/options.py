"""Options that several commands share, in groups; each group turns itself into a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from g2l.config import BackboneConfig, DataConfig, Normalization, RecipeConfig, Selection
from g2l.errors import InputError
from g2l.presets import PRESETS, Preset

DATA, NETWORK, RECIPE, RUN = "Data", "Network", "Training", "Run"

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
        int | None,
        typer.Option(
            help="Use every r-th frame; predictions are repeated r times. (default: 1)", rich_help_panel=DATA
        ),
    ] = None
    normalize: Annotated[
        Normalization | None,
        typer.Option(
            help="Standardise each feature row over the video or over train. (default: none)",
            rich_help_panel=DATA,
        ),
    ] = None
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
        """Return the validated configuration; what is not given comes from the data set's `dataset.json`."""
        from g2l.datasets.facts import resolve_config

        config = DataConfig(
            data_root=self.data_root,
            dataset=self.dataset,
            split=self.split,
            sample_rate=self.sample_rate,
            normalize=self.normalize,
            background=None if self.background is None else class_names(self.background),
            holdout_fraction=self.holdout_fraction,
            group_pattern=self.group_pattern,
            cache_mb=self.cache_mb,
            fps=self.fps,
            seed=seed,
        ).validate()
        return resolve_config(config).validate()


@dataclass(frozen=True)
class BackboneOptions:
    """Kind and size of the network."""

    backbone: Annotated[
        str, typer.Option(help="Name, or package.module:factory.", rich_help_panel=NETWORK)
    ] = "ms-tcn"
    stages: Annotated[int, typer.Option(help="Stages.", rich_help_panel=NETWORK)] = 4
    layers: Annotated[int, typer.Option(help="Layers per stage.", rich_help_panel=NETWORK)] = 10
    feature_maps: Annotated[int, typer.Option(help="Channels inside a stage.", rich_help_panel=NETWORK)] = 64
    causal: Annotated[
        bool,
        typer.Option(
            "--causal/--no-causal", help="Let no label depend on later frames.", rich_help_panel=NETWORK
        ),
    ] = False

    def config(self) -> BackboneConfig:
        """Return the validated configuration."""
        from g2l.models.registry import find_backbone

        find_backbone(self.backbone)  # an unknown one is told before anything is written
        return BackboneConfig(
            name=self.backbone,
            stages=self.stages,
            layers=self.layers,
            feature_maps=self.feature_maps,
            causal=self.causal,
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
    compile: Annotated[
        bool,
        typer.Option(
            "--compile/--no-compile",
            help="Train with torch.compile, which takes a minute to start; searches do without.",
            rich_help_panel=RECIPE,
        ),
    ] = False
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
                compile=self.compile,
            )
            .validate()
        )


Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=RUN)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say only warnings and errors.", rich_help_panel=RUN)]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite/--no-overwrite",
        help="Replace the files of an earlier prediction in --output.",
        rich_help_panel=RUN,
    ),
]
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


def class_names(values: list[str] | None) -> tuple[str, ...]:
    """Return the background classes: the default when none was given, nothing for ''."""
    if values is None:
        return ("background",)
    return tuple(value for value in values if value)
