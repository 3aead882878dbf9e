"""Settings that several commands share: how they run, what they print, read and write."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from g2l.config import FAST, FIRST, FPS_HELP, PAPER, RARE
from g2l.settings import Settings, seed_setting, setting

first = partial(setting, rank=FIRST)
running = partial(first, changes_result=False)
printing = partial(setting, False, changes_result=False)
drawing = partial(setting, choices=("svg", "pdf", "png"), changes_result=False)

MODEL_HELP = "Model file (.onnx, .safetensors, official .model), runs:/… or models:/…."


class DebugConfig(Settings):
    """Options of every command."""

    debug: bool = printing("Print tracebacks of errors.", rank=RARE)


class JsonConfig(DebugConfig):
    """Output for scripts."""

    json: bool = first(False, "Print JSON to stdout.")


class ConsoleConfig(DebugConfig):
    """Verbosity of a command."""

    quiet: bool = printing("Only print warnings and errors.")


class RunConfig(ConsoleConfig):
    """Device, output folder and verbosity of a run."""

    seed: int = seed_setting()
    device: str = running("auto", "Device to train on.", choices=("auto", "cpu", "cuda"))
    output_dir: Path | None = running(None, "Output folder.", default_text="a new folder below runs/")
    resume: bool = running(False, "Continue the run in --output-dir, or the latest.")
    plots: str = drawing("svg", "Figure format.", rank=RARE)


class FoldsConfig(Settings):
    """Folds that a command runs in."""

    split: str = first("1", "Fold k in splits/train.split<k>.bundle, several (1,3), or all.")
    search_per_fold: bool = setting(
        False, "Search in every fold, instead of once on videos that no fold tests on."
    )
    fold_workers: int = setting(
        1, "Folds to run in parallel, each in its own process.", at_least=1, changes_result=False, rank=RARE
    )


class PresetConfig(Settings):
    """Defaults of all stages."""

    preset: str = first(FAST, "Set of default values.", choices=(FAST, PAPER))


class StartConfig(Settings):
    """Structure to start from."""

    structure: str | None = first(None, "Structure file (g2l, official or mmcv), runs:/… or models:/….")
    hand_designed: bool = first(False, "Use the hand-designed structure, with rates 2^l.")


class SeedsConfig(Settings):
    """Number of trainings."""

    seeds: int = first(1, "Trainings per structure; --refit adds as many on hold-outs.", at_least=1)


class PublishedConfig(Settings):
    """Metadata that published checkpoints (state dicts) lack, and the factory of a custom backbone."""

    structure: Path | None = setting(None, "Structure file for a state dict.", default_text="2^l")
    mapping: Path | None = setting(None, "Class mapping (mapping.txt) for a state dict.")
    sample_rate: int | None = setting(
        None, "Sample rate that a state dict was trained with.", at_least=1, default_text="1"
    )
    background: tuple[str, ...] | None = setting(
        None,
        "Background class of a state dict, excluded from edit score and F1; repeatable; '' for none.",
        default_text="background",
    )
    fps: float | None = setting(None, FPS_HELP, above=0, default_text="from the model")
    backbone: str | None = setting(None, "Custom backbone of a .safetensors file: package.module:factory.")
