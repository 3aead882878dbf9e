"""`g2l predict`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from g2l.errors import InputError

from . import console, tables
from .inputs import open_model
from .session import open_folder
from .settings import PredictConfig, PublishedConfig

if TYPE_CHECKING:
    from pathlib import Path

    from g2l.inference.predictor import VideoFailure
    from g2l.inference.smoothing import Smoothing
    from g2l.inference.writers import Outputs


def predict(config: PredictConfig, published: PublishedConfig) -> None:
    """Label every frame of feature files or videos.

    Example: g2l predict --model model.onnx --features data/gtea/features --output out
    """
    from g2l.inference.tiling import parse_size
    from g2l.pipeline.predict import extract_for_model, require_success
    from g2l.pipeline.predict import predict as predict_stage

    if bool(config.features) == (config.videos is not None):
        raise InputError("give either `--features` or `--videos`.")
    outputs = _outputs(config, published.fps)
    memory = None if config.max_memory is None else parse_size(config.max_memory)
    with open_folder(config.output, config.device, quiet=config.quiet, resume=config.resume) as context:
        session = open_model(config.model, published, config.device)
        console.say(f"running on {session.device_report}")
        features: list[Path] = list(config.features)
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
        before = f" ({outcome.resumed} were already there)" if outcome.resumed else ""
        rate = (
            f"; {outcome.frames / outcome.seconds:,.0f} frames/s with reading and writing"
            if outcome.frames
            else ""
        )
        console.say(f"{videos} written to {config.output}{before}{rate}")
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
