"""`g2l data extract`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from g2l.errors import InputError

from . import console, data_report
from .options import Debug


def extract(
    videos: Annotated[Path, typer.Option(help="Folder of videos.")],
    encoder: Annotated[
        Path, typer.Option(help="Any .onnx whose input is (N, 3, H, W) frames or (N, 3, T, H, W) clips.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for <video>.npy and features.json.")],
    fps: Annotated[float, typer.Option(help="Features per second of video.")] = 15.0,
    mean: Annotated[
        str | None,
        typer.Option(help="Of red, green, blue in 0 … 1, such as 0.5,0.5,0.5 (default ImageNet's)."),
    ] = None,
    std: Annotated[str | None, typer.Option(help="The same (default ImageNet's).")] = None,
    size: Annotated[
        int | None, typer.Option(help="Height and width where the encoder takes any (default 224).")
    ] = None,
    clip_frames: Annotated[
        int | None, typer.Option(help="T where the encoder takes any (default 16).")
    ] = None,
    encoder_output: Annotated[
        str | None, typer.Option(help="Output to take of an encoder that has several.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Frames or clips encoded at once.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    debug: Debug = False,
) -> None:
    """Make features of videos with an encoder of your own; what is done already is kept.

    Example: g2l data extract --videos videos --encoder resnet.onnx --fps 15 --output features
    """
    from g2l.inference.extraction.extract import ExtractionRequest, extract_features

    request = ExtractionRequest(
        videos=videos,
        encoder=encoder,
        output=output,
        fps=fps,
        mean=_numbers("mean", mean),
        std=_numbers("std", std),
        size=size,
        clip_frames=clip_frames,
        encoder_output=encoder_output,
        batch_size=batch_size,
        device=device,
    )
    result = extract_features(request, console.ConsoleProgress())
    console.say(f"encoder: {result.device_report}.")
    rows = [
        ("extracted", f"{len(result.written):,}"),
        ("there already", f"{len(result.kept):,}"),
        ("frames", f"{result.frames:,} at {fps:g} per second"),
        ("feature_dim", f"{result.feature_dim:,}" if result.feature_dim else "unknown"),
    ]
    console.table(str(output), ("", "videos"), rows)
    data_report.print_faults(result.faults)
    if result.faults:
        raise InputError(f"{output}: {data_report.count(result.faults)}; the other videos are done.")
    arguments = ["--features", str(output), "--segments", "segments.csv", "--dataset", "mine"]
    console.say(f"try: g2l data convert {shlex.join(arguments)}")


def _numbers(name: str, text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"`{name}` must be three numbers, such as 0.5,0.5,0.5, but is {text!r}.") from None
