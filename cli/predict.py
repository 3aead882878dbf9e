"""`g2l predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import console, tables
from .models import CheckpointOptions, ModelOption, open_model
from .options import RUN, Debug, Overwrite, Quiet
from .output_options import OutputOptions
from .session import open_folder


def predict(
    model: ModelOption,
    checkpoint: CheckpointOptions,
    features: Annotated[list[Path], typer.Option(help="Feature file (.npy) or folder of them; repeatable.")],
    output: Annotated[Path, typer.Option(help="Folder for <video>.txt and segments.csv.")],
    outputs: OutputOptions,
    ground_truth: Annotated[Path | None, typer.Option(help="Folder of <video>.txt to score against.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=RUN)] = "auto",
    max_memory: Annotated[
        str | None,
        typer.Option(
            help="Such as 2GB: longer videos are computed in tiles, with the same result. "
            "(default: a share of what is free)",
            rich_help_panel=RUN,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Leave alone what is done in --output.", rich_help_panel=RUN
        ),
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Label every frame of feature files; ground truth is not needed.

    Example: g2l predict --model model.onnx --features data/gtea/features --output out
    """
    from g2l.inference.tiling import parse_size
    from g2l.pipeline.predict import predict as predict_stage
    from g2l.pipeline.predict import require_success

    wanted = outputs.config(checkpoint.fps)
    memory = None if max_memory is None else parse_size(max_memory)
    with open_folder(output, device, quiet=quiet, resume=resume) as context:
        session = open_model(model, checkpoint, device)
        console.say(f"running on {session.device_report}")
        outcome = predict_stage(
            context,
            session,
            features,
            ground_truth=ground_truth,
            outputs=wanted,
            max_memory=memory,
            overwrite=overwrite,
        )
        if outcome.report is not None:
            tables.evaluation(f"{len(outcome.videos)} videos", outcome.report)
        before = f" ({outcome.resumed} of them before)" if outcome.resumed else ""
        rate = (
            f"; {outcome.speed.frames / outcome.speed.seconds:,.0f} frames/s" if outcome.speed.frames else ""
        )
        console.say(f"{len(outcome.videos)} videos written to {output}{before}{rate}")
        require_success(outcome)
