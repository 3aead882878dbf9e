"""`g2l export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import console
from .models import ForeignOptions, ModelOption, load_network
from .options import Debug, Quiet
from .session import quick_workplace


def export(
    model: ModelOption,
    foreign: ForeignOptions,
    output: Annotated[Path, typer.Option(help="File to write, ending in .onnx.")] = Path("model.onnx"),
    precision: Annotated[str, typer.Option(help="fp32 or fp16.")] = "fp32",
    opset: Annotated[
        int | None, typer.Option(help="ONNX operator set; torch's own choice if not given.")
    ] = None,
    frame_mask: Annotated[
        bool, typer.Option("--frame-mask", help="Second input for padded batches of different lengths.")
    ] = False,
    register: Annotated[
        str | None, typer.Option(help="Register the model in MLflow under this name.")
    ] = None,
    alias: Annotated[str | None, typer.Option(help="Alias of the registered version.")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write one ONNX file, checked and compared with torch, that predicts without any other file.

    Example: g2l export --model model.safetensors --output model.onnx
    """
    from g2l.errors import InputError
    from g2l.export.report import Precision
    from g2l.pipeline.export import export_model

    from .choices import choice

    if alias is not None and register is None:
        raise InputError("--alias needs --register NAME.")
    kind = choice(Precision, precision, "precision")
    network, metadata = load_network(model, foreign)
    with quick_workplace(output.parent, "cpu", quiet=quiet) as place:
        report = export_model(
            place,
            network,
            metadata,
            output,
            opset=opset,
            frame_mask=frame_mask,
            precision=kind,
            registered_model=register,
            alias=alias,
        )
        console.say(
            f"{output}: opset {report.opset}, {kind.value}; differs from torch by at most "
            f"{report.max_difference:.1e} over {len(report.checks)} lengths, "
            f"{report.agreement:.2f} % of labels agree"
        )
