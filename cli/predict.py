"""`g2l predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import console, tables
from .models import CheckpointOptions, ModelOption, open_model
from .options import RUN, Debug, Quiet
from .output_options import OutputOptions
from .session import quick_workplace


def predict(
    model: ModelOption,
    checkpoint: CheckpointOptions,
    features: Annotated[list[Path], typer.Option(help="Feature file (.npy) or folder of them; repeatable.")],
    output: Annotated[Path, typer.Option(help="Folder for <video>.txt and segments.csv.")],
    outputs: OutputOptions,
    ground_truth: Annotated[Path | None, typer.Option(help="Folder of <video>.txt to score against.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or tensorrt.", rich_help_panel=RUN)] = "auto",
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
    benchmark: Annotated[
        bool, typer.Option("--benchmark", help="Also print where the time went.", rich_help_panel=RUN)
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Label every frame of feature files; ground truth is not needed.

    Example: g2l predict --model model.onnx --features data/gtea/features --output out
    """
    from g2l.inference.memory_sizes import parse_size
    from g2l.pipeline.predict import predict as predict_stage
    from g2l.pipeline.predict import require_success

    wanted = outputs.config(checkpoint.fps)
    memory = None if max_memory is None else parse_size(max_memory)
    with quick_workplace(output, device, quiet=quiet, resume=resume) as place:
        session = open_model(model, checkpoint, device)
        console.say(f"running on {session.device_report}")
        outcome = predict_stage(
            place, session, features, ground_truth=ground_truth, outputs=wanted, max_memory=memory
        )
        if benchmark:
            tables.speed(outcome)
        if outcome.report is not None:
            tables.evaluation(f"{len(outcome.videos)} videos", outcome.report)
        before = f" ({outcome.resumed} of them before)" if outcome.resumed else ""
        console.say(f"{len(outcome.videos)} videos written to {output}{before}")
        require_success(outcome)
