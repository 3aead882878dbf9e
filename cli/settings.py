"""Settings that only commands have: how they run, what they print, read and write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from g2l.config import BACKGROUND_HELP, FAST, FIRST, FPS_HELP, PAPER, RARE
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
    """Output for scripts."""

    json: bool = _first(False, "Print JSON to stdout.")


@dataclass(frozen=True, kw_only=True)
class ConsoleConfig(DebugConfig):
    """Verbosity of a command."""

    quiet: bool = _print("Only print warnings and errors.")


@dataclass(frozen=True, kw_only=True)
class RunConfig(ConsoleConfig):
    """Device, output folder and verbosity of a run."""

    seed: int = seed_setting()
    device: str = _run("auto", "Device to train on.", choices=("auto", "cpu", "cuda"))
    output_dir: Path | None = _run(None, "Output folder.", default_text="a new folder below runs/")
    resume: bool = _run(False, "Continue the run in --output-dir, or the latest.")
    plots: str = _plots("svg", "Figure format.", rank=RARE)


@dataclass(frozen=True, kw_only=True)
class SearchRunConfig(RunConfig):
    """Device, output folder and verbosity of a global search."""

    dry_run: bool = _print("Print the cost of the search; write nothing.")


@dataclass(frozen=True, kw_only=True)
class FoldsConfig(Settings):
    """Folds that a command runs in."""

    split: str = _first("1", "Fold k in splits/train.split<k>.bundle, several (1,3), or all.")
    search_per_fold: bool = setting(
        False, "Search in every fold, instead of once on videos that no fold tests on."
    )
    fold_workers: int = setting(
        1, "Folds to run in parallel, each in its own process.", at_least=1, changes_result=False, rank=RARE
    )


@dataclass(frozen=True, kw_only=True)
class PresetConfig(Settings):
    """Defaults of all stages."""

    preset: str = _first(FAST, "Set of default values.", choices=(FAST, PAPER))


@dataclass(frozen=True, kw_only=True)
class StartConfig(Settings):
    """Structure to start from."""

    structure: str | None = _first(None, "Structure file (g2l, official or mmcv), runs:/… or models:/….")
    hand_designed: bool = _first(False, "Use the hand-designed structure, with rates 2^l.")


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
    """Number of trainings."""

    seeds: int = _first(1, "Trainings per structure; --refit adds as many on hold-outs.", at_least=1)


@dataclass(frozen=True, kw_only=True)
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
    videos: Path | None = _first(None, "Folder of videos, instead of --features; needs --encoder.")
    encoder: Path | None = _first(None, "Encoder (.onnx) that made the training features, for --videos.")
    output: Path = _first(Path(), "Output folder for <video>.txt and segments.csv.", required=True)
    ground_truth: Path | None = _first(None, "Score against this folder of <video>.txt.")
    device: str = _run("auto", "Device to run on.", choices=("auto", "cpu", "cuda"))
    resume: bool = _run(False, "Skip videos that are already predicted.")
    format: tuple[str, ...] = setting(
        (),
        "Additional segment formats: json, mstcn, eaf (ELAN), srt; repeatable.",
        rank=FIRST,
    )
    smooth: str = setting(
        "none",
        "Smoothing of predicted labels.",
        choices=("none", "min-duration", "median", "viterbi"),
        rank=FIRST,
    )
    min_duration: str | None = setting(None, "Minimum segment length: 0.5s, or 15 (frames).")
    median_window: str | None = setting(None, "Median filter window: 1s, or 31 (frames).")
    transition_weight: float | None = setting(
        None, "Weight of class transitions in Viterbi smoothing.", at_least=0, default_text="1"
    )
    probabilities: bool = setting(False, "Also write <video>.probabilities.npy.")
    plots: str | None = _plots(
        None, "Also plot ground truth and prediction of each video; without a value: svg."
    )
    max_memory: str | None = setting(
        None,
        "Memory limit, such as 2GB; longer videos are computed in tiles.",
        default_text="a share of the free memory",
        changes_result=False,
    )
    overwrite: bool = setting(False, "Replace the files of an earlier run.", changes_result=False)

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
    """Model to export, and its number format."""

    model: str = _first("", MODEL_HELP, required=True)
    output: Path = _first(Path("model.onnx"), "Output file (.onnx).")
    precision: str = _first(
        "fp32",
        "fp16: half the size, for GPUs; int8: 2-3 times as fast on CPUs, needs --calibration.",
        choices=("fp32", "fp16", "int8"),
    )
    calibration: tuple[Path, ...] = _first(
        (), "Features to calibrate int8 and to compare with fp32; repeatable."
    )
    ground_truth: Path | None = _first(None, "Ground truth of the --calibration videos, to compare F1.")
    force: bool = setting(False, "Write the file even if its labels differ too much from fp32.")
    opset: int | None = setting(None, "ONNX operator set version.", default_text="torch's default")
    frame_mask: bool = setting(
        False, "Add an input that masks padded frames, for batches of different lengths."
    )
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
    """Predictions to score, and how."""

    predictions: Path = _first(Path(), "Folder of <video>.txt, one class name per line.", required=True)
    ground_truth: Path = _first(Path(), "Folder of <video>.txt in the same format.", required=True)
    background: tuple[str, ...] | None = _first(
        None, BACKGROUND_HELP, default_text="dataset.json, else background", keeps_empty=True
    )
    bundle: Path | None = _first(None, "Score only the videos of this bundle.")
    convention: str = _first(
        "mstcn",
        "g2l: drop the last frame of the last segment, as the official code does.",
        choices=("mstcn", "g2l"),
    )
    output: Path | None = _first(None, "Also write the scores to this JSON file.")
    compare: Path | None = _first(None, "Other predictions of the same videos to compare with.")


@dataclass(frozen=True, kw_only=True)
class NewDataConfig(DebugConfig):
    """Data set to make."""

    dataset: str = _first("", "Name of the new data set: a folder in --data-root.", required=True)
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
    feature_dim: int | None = _first(None, "Feature dimension.", default_text="16; lags: 8")
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
    """Conversion of features and labels to a data set."""

    dry_run: bool = _first(False, "Print the result; write nothing.")


@dataclass(frozen=True, kw_only=True)
class ExtractConfig(DebugConfig, ExtractionConfig):
    """Feature extraction from videos."""


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
    """Display of a structure or model."""

    fps: float | None = _first(None, "Frame rate, to show seconds.", above=0)
    feature_dim: int = setting(2048, "Feature dimension, to compute the size.", at_least=1)
    classes: int = setting(11, "Number of classes, to compute the size.", at_least=1)
    feature_maps: int = setting(64, "Channels per layer, to compute the size.", at_least=1)


@dataclass(frozen=True, kw_only=True)
class DialectConfig(DebugConfig):
    """Dialect of a structure file."""

    to: str = _first("g2l", "Dialect to write.", choices=("g2l", "official", "mmcv"))


@dataclass(frozen=True, kw_only=True)
class DownloadConfig(DebugConfig):
    """Download of a public data set."""

    data_root: Path = _first(Path("data"), "Folder of data sets.")
    yes: bool = _first(False, "Accept the terms of use.")
