"""`g2l predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import console, tables
from .models import ForeignOptions, ModelOption, open_model
from .options import RUN, Debug, Quiet
from .output_options import OutputOptions
from .session import quick_workplace


def predict(
    model: ModelOption,
    foreign: ForeignOptions,
    features: Annotated[list[Path], typer.Option(help="Feature file (.npy) or folder of them; repeatable.")],
    output: Annotated[Path, typer.Option(help="Folder for <video>.txt and segments.csv.")],
    outputs: OutputOptions,
    ground_truth: Annotated[Path | None, typer.Option(help="Folder of <video>.txt to score against.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or tensorrt.", rich_help_panel=RUN)] = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Label every frame of feature files; ground truth is not needed.

    Example: g2l predict --model model.onnx --features data/gtea/features --output out
    """
    from g2l.pipeline.predict import predict as predict_stage
    from g2l.pipeline.predict import require_success

    wanted = outputs.config(foreign.fps)
    with quick_workplace(output, device, quiet=quiet) as place:
        session = open_model(model, foreign, device)
        console.say(f"running on {session.device_report}")
        outcome = predict_stage(place, session, features, ground_truth=ground_truth, outputs=wanted)
        if outcome.report is not None:
            tables.evaluation(f"{len(outcome.videos)} videos", outcome.report)
        console.say(f"{len(outcome.videos)} videos written to {output}")
        require_success(outcome)
