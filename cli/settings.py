"""Settings that only commands have: how they run, what they print, read and write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from g2l.config import BACKGROUND_HELP, DEMO, FAST, FIRST, FPS_HELP, PAPER, RARE
from g2l.datasets.convert.request import ConversionRequest
from g2l.inference.settings import ExtractionConfig
from g2l.settings import Settings, seed_setting, setting

_first = partial(setting, rank=FIRST)
_run = partial(_first, changes_result=False)
_print = partial(setting, False, changes_result=False)
_plots = partial(setting, choices=("svg", "pdf", "png"), changes_result=False)

MODEL_HELP = "Model file (.onnx, .safetensors, official .model), runs:/… or models:/…."


@dataclass(frozen=True, kw_only=True)
class DebugConfig(Settings):
    """Options of every command."""

    debug: bool = _print("Print tracebacks of errors.", rank=RARE)


@dataclass(frozen=True, kw_only=True)
class JsonConfig(DebugConfig):
    """Commands that a script may read."""

    json: bool = _first(False, "Print JSON to stdout.")


@dataclass(frozen=True, kw_only=True)
class ConsoleConfig(DebugConfig):
    """How much a command prints."""

    quiet: bool = _print("Only print warnings and errors.")


@dataclass(frozen=True, kw_only=True)
class RunConfig(ConsoleConfig):
    """How a stage runs."""

    seed: int = seed_setting()
    device: str = _run("auto", "Device to train on.", choices=("auto", "cpu", "cuda"))
    output_dir: Path | None = _run(None, "Output folder.", default_text="a new folder below runs/")
    resume: bool = _run(False, "Continue the run in --output-dir, else the latest one.")
    plots: str = _plots("svg", "Format of figures.", rank=RARE)


@dataclass(frozen=True, kw_only=True)
class SearchRunConfig(RunConfig):
    """How a global search runs."""

    dry_run: bool = _print("Print what the search would cost; write nothing.")


@dataclass(frozen=True, kw_only=True)
class FoldsConfig(Settings):
    """Which folds a command runs in, and where structures are searched."""

    split: str = _first("1", "Fold k of splits/train.split<k>.bundle; several: 1,3; or all.")
    search_per_fold: bool = setting(
        False, "Search in each of several folds; else once, on videos that no fold tests on."
    )
    fold_workers: int = setting(
        1, "Folds that run at once, each in its own process.", at_least=1, changes_result=False, rank=RARE
    )


@dataclass(frozen=True, kw_only=True)
class PresetConfig(Settings):
    """Which defaults the settings of the stages have."""

    preset: str = _first(FAST, "Default values of all stages.", choices=(FAST, PAPER, DEMO))


@dataclass(frozen=True, kw_only=True)
class StartConfig(Settings):
    """Which structure a stage starts from."""

    structure: str | None = _first(None, "Structure file (g2l, official or mmcv), runs:/… or models:/….")
    hand_designed: bool = _first(False, "Use the hand-designed rates 2^l.")


@dataclass(frozen=True, kw_only=True)
class ContextConfig(Settings):
    """How finely the context that the data need, or that a model uses, is measured."""

    model: str | None = _first(
        None, "Trained model (.onnx, .safetensors) to measure by hiding context from it, without training."
    )
    points: int | None = _first(
        None, "Receptive fields to compare.", at_least=2, default_text="5; 12 of a model"
    )
    repeats: int | None = setting(
        None,
        "Trainings per receptive field, each with another hold-out and seed.",
        at_least=2,
        default_text="2",
    )


@dataclass(frozen=True, kw_only=True)
class SeedsConfig(Settings):
    """How often a structure is trained."""

    seeds: int = _first(1, "Trainings per structure; with --refit as many on hold-outs before.", at_least=1)


@dataclass(frozen=True, kw_only=True)
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
        keeps_empty=True,
        default_text="background",
    )
    fps: float | None = setting(None, FPS_HELP, above=0, default_text="from the model")
    backbone: str | None = setting(None, "Custom backbone of a .safetensors file: package.module:factory.")


@dataclass(frozen=True, kw_only=True)
class PredictConfig(ConsoleConfig):
    """Input, output and smoothing of a prediction."""

    model: str = _first("", MODEL_HELP, required=True)
    features: tuple[Path, ...] = _first((), "Feature file (.npy) or folder of them; repeatable.")
    videos: Path | None = _first(None, "Folder of videos, instead of --features.")
    encoder: Path | None = _first(None, "Encoder (.onnx) of --videos: the one of the training features.")
    output: Path = _first(Path(), "Folder for <video>.txt and segments.csv.", required=True)
    ground_truth: Path | None = _first(None, "Folder of <video>.txt to score against.")
    device: str = _run("auto", "Device to run on.", choices=("auto", "cpu", "cuda"))
    resume: bool = _run(False, "Skip videos that are already predicted.")
    format: tuple[str, ...] = setting(
        (),
        "Additional segment formats: json, mstcn, eaf (ELAN), srt; repeatable.",
        rank=FIRST,
    )
    smooth: str = setting(
        "none", "Smoothing of the labels.", choices=("none", "min-duration", "median", "viterbi"), rank=FIRST
    )
    min_duration: str | None = setting(None, "Shortest segment to keep: 0.5s, or 15 (frames).")
    median_window: str | None = setting(None, "Window of the median filter: 1s, or 31 (frames).")
    transition_weight: float | None = setting(
        None, "Transition weight of Viterbi smoothing.", at_least=0, default_text="1"
    )
    probabilities: bool = setting(False, "Also write <video>.probabilities.npy.")
    plots: str | None = _plots(
        None, "Also draw each video: prediction below ground truth; without a value: svg."
    )
    max_memory: str | None = setting(
        None,
        "Memory limit such as 2GB; longer videos are tiled, with the same result.",
        default_text="a share of the free memory",
        changes_result=False,
    )
    overwrite: bool = setting(False, "Overwrite the files of an earlier run.", changes_result=False)

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        yield from super().errors()
        if self.videos is not None and self.encoder is None:
            yield "`videos` needs `encoder`, the one that made the training features."
        if self.encoder is not None and self.videos is None:
            yield "`encoder` needs `videos`, a folder of them."
        owners = {"min_duration": "min-duration", "median_window": "median", "transition_weight": "viterbi"}
        for name, owner in owners.items():
            value = getattr(self, name)
            if value is not None and owner != self.smooth:
                yield f"`{name}` needs `smooth` {owner}, but smoothing is {self.smooth} instead."
            if value is None and owner == self.smooth and owner != "viterbi":
                yield f"`smooth` {owner} needs `{name}`, such as 0.5s."


@dataclass(frozen=True, kw_only=True)
class ExportConfig(ConsoleConfig):
    """Which model is written as ONNX, and in which number format."""

    model: str = _first("", MODEL_HELP, required=True)
    output: Path = _first(Path("model.onnx"), "File to write, ending in .onnx.")
    precision: str = _first(
        "fp32",
        "fp16: half the size, for GPUs; int8: 2-3 times as fast on CPUs, needs --calibration.",
        choices=("fp32", "fp16", "int8"),
    )
    calibration: tuple[Path, ...] = _first(
        (), "Features for int8 calibration and for the comparison with fp32; repeatable."
    )
    ground_truth: Path | None = _first(None, "Ground truth of --calibration, to compare F1.")
    force: bool = setting(False, "Write the file even if its labels differ too much from those of fp32.")
    opset: int | None = setting(None, "ONNX operator set.", default_text="torch's own choice")
    frame_mask: bool = setting(False, "Add a second input for padded batches of different lengths.")
    register: str | None = setting(None, "Register the model in MLflow under this name.")
    alias: str | None = setting(None, "Alias of the registered version.")

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error; options that would do nothing are refused."""
        yield from super().errors()
        if self.precision == "fp32":
            for name in ("calibration", "ground_truth", "force"):
                if getattr(self, name):
                    yield f"`{name}` needs `precision` fp16 or int8, but the precision is fp32 instead."
        elif self.precision == "int8" and not self.calibration:
            yield "`precision` int8 needs `calibration`: features like those the model will see."
        elif self.ground_truth is not None and not self.calibration:
            yield "`ground_truth` needs `calibration`, the features that it belongs to."
        if self.alias is not None and self.register is None:
            yield "`alias` needs `register`, the name of the model."


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(JsonConfig):
    """Which predictions are scored, and how."""

    predictions: Path = _first(Path(), "Folder of <video>.txt, one class name per line.", required=True)
    ground_truth: Path = _first(Path(), "Folder of <video>.txt in the same format.", required=True)
    background: tuple[str, ...] | None = _first(
        None, BACKGROUND_HELP, default_text="dataset.json, else background", keeps_empty=True
    )
    bundle: Path | None = _first(None, "Score only the videos of this bundle.")
    convention: str = _first(
        "mstcn",
        "g2l: without the last frame of the last segment, as the official code does.",
        choices=("mstcn", "g2l"),
    )
    output: Path | None = _first(None, "Also write the scores to this file.")
    compare: Path | None = _first(None, "Other predictions of the same videos to compare with.")


@dataclass(frozen=True, kw_only=True)
class NewDataConfig(DebugConfig):
    """Which data set a command makes."""

    dataset: str = _first("", "Data set to make: a folder below --data-root.", required=True)
    data_root: Path = _first(Path("data"), "Folder of data sets.")


@dataclass(frozen=True, kw_only=True)
class SynthConfig(NewDataConfig):
    """A synthetic data set."""

    kind: str = _first(
        "kitchen",
        "kitchen: actions that need context; lags: planted dilation rates.",
        choices=("kitchen", "lags"),
    )
    lags: str | None = _first(None, "Planted lags in frames, such as 41,7.", default_text="41")
    videos: int = _first(24, "Number of videos.")
    frames: int = _first(400, "Mean video length in frames.")
    classes: int | None = _first(None, "Number of classes (kitchen).", default_text="10")
    feature_dim: int | None = _first(None, "D.", default_text="16, for lags 8")
    seed: int = seed_setting()

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        yield from super().errors()
        if self.kind == "kitchen" and self.lags is not None:
            yield "`lags` needs `kind` lags, but the kind is kitchen instead."
        if self.kind == "lags" and self.classes is not None:
            yield "`classes` needs `kind` kitchen: lags have 2 classes per lag, multiplied."


@dataclass(frozen=True, kw_only=True)
class ConvertConfig(ConversionRequest, DebugConfig):
    """A conversion, or its plan."""

    dry_run: bool = _first(False, "Print what would be done; write nothing.")


@dataclass(frozen=True, kw_only=True)
class ExtractConfig(DebugConfig, ExtractionConfig):
    """Videos whose features are extracted."""


@dataclass(frozen=True, kw_only=True)
class ReportConfig(ConsoleConfig):
    """Format and path of a report."""

    format: str = _first(
        "html", "html: one self-contained page; md: for a pull request.", choices=("html", "md")
    )
    plots: str | None = _plots(
        None, "Also write the figures beside the report; without a value: svg.", rank=FIRST
    )
    output: Path | None = _first(
        None, "File to write.", default_text="report.<format> in the folder of the run; of several runs, here"
    )


@dataclass(frozen=True, kw_only=True)
class ShowConfig(JsonConfig):
    """How a structure is shown."""

    fps: float | None = _first(None, "Frame rate, to show seconds.", above=0)
    feature_dim: int = setting(2048, "Channels D of the features, for the size.", at_least=1)
    classes: int = setting(11, "Number of classes, for the size.", at_least=1)
    feature_maps: int = setting(64, "Channels inside a stage, for the size.", at_least=1)


@dataclass(frozen=True, kw_only=True)
class DialectConfig(DebugConfig):
    """How a structure is written."""

    to: str = _first("g2l", "Dialect to write.", choices=("g2l", "official", "mmcv"))


@dataclass(frozen=True, kw_only=True)
class DownloadConfig(DebugConfig):
    """Where a data set is downloaded to."""

    data_root: Path = _first(Path("data"), "Folder of data sets.")
    yes: bool = _first(False, "Accept the terms of use.")
