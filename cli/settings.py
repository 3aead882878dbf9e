"""Settings that several commands share: how they run, what they print, read and write."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from g2l.config import DEMO, FAST, FIRST, FPS_HELP, PAPER, RARE
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
    """Commands that a script may read."""

    json: bool = first(False, "Print JSON to stdout.")


class ConsoleConfig(DebugConfig):
    """How much a command prints."""

    quiet: bool = printing("Only print warnings and errors.")


class RunConfig(ConsoleConfig):
    """How a stage runs."""

    seed: int = seed_setting()
    device: str = running("auto", "Device to train on.", choices=("auto", "cpu", "cuda"))
    output_dir: Path | None = running(None, "Output folder.", default_text="a new folder below runs/")
    resume: bool = running(False, "Continue the run in --output-dir, else the latest one.")
    plots: str = drawing("svg", "Format of figures.", rank=RARE)


class FoldsConfig(Settings):
    """Which folds a command runs in, and where structures are searched."""

    split: str = first("1", "Fold k of splits/train.split<k>.bundle; several: 1,3; or all.")
    search_per_fold: bool = setting(
        False, "Search in each of several folds; else once, on videos that no fold tests on."
    )
    fold_workers: int = setting(
        1, "Folds that run at once, each in its own process.", at_least=1, changes_result=False, rank=RARE
    )


class PresetConfig(Settings):
    """Which defaults the settings of the stages have."""

    preset: str = first(FAST, "Default values of all stages.", choices=(FAST, PAPER, DEMO))


class StartConfig(Settings):
    """Which structure a stage starts from."""

    structure: str | None = first(None, "Structure file (g2l, official or mmcv), runs:/… or models:/….")
    hand_designed: bool = first(False, "Use the hand-designed rates 2^l.")


class SeedsConfig(Settings):
    """How often a structure is trained."""

    seeds: int = first(1, "Trainings per structure; with --refit as many on hold-outs before.", at_least=1)


class PublishedConfig(Settings):
    """Facts that published checkpoints (state dicts) lack, and the factory that no file may choose."""

    structure: Path | None = setting(None, "Structure of a state dict.", default_text="2^l")
    mapping: Path | None = setting(None, "mapping.txt of a state dict.")
    sample_rate: int | None = setting(
        None, "Sample rate that a state dict was trained with.", at_least=1, default_text="1"
    )
    background: tuple[str, ...] | None = setting(
        None,
        "Background class of a state dict, excluded from Edit and F1; repeatable; '' for none.",
        default_text="background",
    )
    fps: float | None = setting(None, FPS_HELP, above=0, default_text="from the model")
    backbone: str | None = setting(None, "Custom backbone of a .safetensors file: package.module:factory.")
