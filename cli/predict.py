"""`g2l predict`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from g2l.errors import InputError
from g2l.settings import setting

from . import console, tables
from .inputs import open_model
from .session import open_folder
from .settings import MODEL_HELP, ConsoleConfig, PublishedConfig, drawing, first, running

if TYPE_CHECKING:
    from g2l.inference.predictor import VideoFailure
    from g2l.inference.smoothing import Smoothing
    from g2l.inference.writers import Outputs


class PredictConfig(ConsoleConfig):
    """Input, output and smoothing of a prediction."""

    model: str = first("", MODEL_HELP, required=True)
    features: tuple[Path, ...] = first((), "Feature file (.npy) or folder of them; repeatable.")
    videos: Path | None = first(
        None, "Folder of videos, instead of --features; needs --encoder.", needs={"encoder": ()}
    )
    encoder: Path | None = first(
        None, "Encoder (.onnx) that made the training features, for --videos.", needs={"videos": ()}
    )
    output: Path = first(Path(), "Output folder for <video>.txt and segments.csv.", required=True)
    ground_truth: Path | None = first(None, "Score against this folder of <video>.txt.")
    device: str = running("auto", "Device to run on.", choices=("auto", "cpu", "cuda"))
    resume: bool = running(False, "Skip videos that are already predicted.")
    format: tuple[str, ...] = first(
        (), "Additional segment formats: json, mstcn, eaf (ELAN), srt; repeatable."
    )
    smooth: str = first(
        "none", "Smoothing of predicted labels.", choices=("none", "min-duration", "median", "viterbi")
    )
    min_duration: str | None = setting(
        None, "Minimum segment length: 0.5s, or 15 (frames).", needs={"smooth": ("min-duration",)}
    )
    median_window: str | None = setting(
        None, "Median filter window: 1s, or 31 (frames).", needs={"smooth": ("median",)}
    )
    transition_weight: float | None = setting(
        None,
        "Weight of class transitions in Viterbi smoothing.",
        at_least=0,
        default_text="1",
        needs={"smooth": ("viterbi",)},
    )
    probabilities: bool = setting(False, "Also write <video>.probabilities.npy.")
    plots: str | None = drawing(
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
        if bool(self.features) == (self.videos is not None):
            yield "give either `features` or `videos`."
        for smooth, name in {"min-duration": "min_duration", "median": "median_window"}.items():
            if self.smooth == smooth and getattr(self, name) is None:
                yield f"`smooth` {smooth} needs `{name}`, such as 0.5s."


def predict(config: PredictConfig, published: PublishedConfig) -> None:
    """Label every frame of feature files or videos.

    Example: g2l predict --model model.onnx --features data/gtea/features --output out
    """
    from g2l.inference.tiling import parse_size
    from g2l.pipeline.predict import extract_for_model, require_success
    from g2l.pipeline.predict import predict as predict_stage

    outputs = _outputs(config, published.fps)
    memory = None if config.max_memory is None else parse_size(config.max_memory)
    with open_folder(config.output, config.device, quiet=config.quiet, resume=config.resume) as context:
        session = open_model(config.model, published, config.device)
        console.say(f"running on {session.device_report}")
        features = list(config.features)
        undecoded: tuple[VideoFailure, ...] = ()
        if config.videos is not None and config.encoder is not None:
            folder, undecoded = extract_for_model(
                context, session.metadata, config.videos, config.encoder, published.fps
            )
            features = [folder]
        outcome = predict_stage(
            context,
            session,
            features,
            ground_truth=config.ground_truth,
            outputs=outputs,
            max_memory=memory,
            overwrite=config.overwrite,
        )
        videos = console.count(len(outcome.videos), "video")
        if outcome.report is not None:
            tables.evaluation(videos, outcome.report)
        said = f"{videos} written to {config.output}"
        if outcome.resumed:
            said += f" ({outcome.resumed} were already there)"
        if outcome.frames:
            said += f"; {outcome.frames / outcome.seconds:,.0f} frames/s with reading and writing"
        console.say(said)
        require_success(replace(outcome, failures=(*undecoded, *outcome.failures)))


def _outputs(config: PredictConfig, fps: float | None) -> Outputs:
    """Return what is written and how labels are smoothed."""
    from g2l.inference.segments import Format
    from g2l.inference.writers import Outputs

    names = dict.fromkeys(part.strip() for text in config.format for part in text.split(",") if part.strip())
    known = [member.value for member in Format]
    for name in names:
        if name not in known:
            raise InputError(f"`--format` must be one of {', '.join(known)}, but is {name!r} instead.")
    return Outputs(
        formats=tuple(Format(name) for name in names),
        probabilities=config.probabilities,
        plots=config.plots,
        smoothing=_smoothing(config),
        fps=fps,
    )


def _smoothing(config: PredictConfig) -> Smoothing:
    from g2l.inference.smoothing import Smoothing, SmoothingKind

    weight = 1.0 if config.transition_weight is None else config.transition_weight
    duration = config.min_duration if config.median_window is None else config.median_window
    return Smoothing(kind=SmoothingKind(config.smooth), duration=duration, weight=weight).validate()
