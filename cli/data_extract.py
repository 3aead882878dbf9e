"""`g2l data extract`."""

from __future__ import annotations

import shlex

from g2l.errors import InputError

from . import console, data_report
from .settings import ExtractConfig


def extract(config: ExtractConfig) -> None:
    """Make features of videos with an encoder of your own; what is done already is kept.

    Example: g2l data extract --videos videos --encoder resnet.onnx --fps 15 --output features
    """
    from g2l.inference.extraction.extract import ExtractionRequest, extract_features

    request = ExtractionRequest(
        videos=config.videos,
        encoder=config.encoder,
        output=config.output,
        fps=config.fps,
        mean=_numbers("--mean", config.mean),
        std=_numbers("--std", config.std),
        size=config.size,
        clip_frames=config.clip_frames,
        encoder_output=config.encoder_output,
        batch_size=config.batch_size,
        device=config.device,
    )
    result = extract_features(request, console.ConsoleProgress())
    console.say(f"encoder: {result.device_report}.")
    rows = [
        ("extracted", f"{len(result.written):,}"),
        ("there already", f"{len(result.kept):,}"),
        ("frames", f"{result.frames:,} at {config.fps:g} per second"),
        ("feature_dim", f"{result.feature_dim:,}" if result.feature_dim else "unknown"),
    ]
    console.table(str(config.output), ("", "videos"), rows)
    data_report.print_issues(result.issues)
    if result.issues:
        raise InputError(f"{config.output}: {data_report.count(result.issues)}; the other videos are done.")
    arguments = ["--features", str(config.output), "--segments", "segments.csv", "--dataset", "mine"]
    console.say(f"try: g2l data convert {shlex.join(arguments)}")


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"`{option}` must be three numbers, such as 0.5,0.5,0.5, but is {text!r} instead."
        ) from None
