"""`g2l export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from g2l.errors import InputError

from . import console
from .choices import choice
from .models import CheckpointOptions, ModelOption, load_network
from .options import Debug, Quiet
from .session import scratch_context

if TYPE_CHECKING:
    from g2l.export.onnx_export import ExportReport
    from g2l.export.precision import Precision

SMALLER = "Smaller and faster"


def export(
    model: ModelOption,
    checkpoint: CheckpointOptions,
    output: Annotated[Path, typer.Option(help="File to write, ending in .onnx.")] = Path("model.onnx"),
    opset: Annotated[
        int | None, typer.Option(help="ONNX operator set, such as 17 for an older runtime.")
    ] = None,
    ir_version: Annotated[
        int | None, typer.Option(help="Version of the ONNX file format, such as 8 for an older runtime.")
    ] = None,
    frame_mask: Annotated[
        bool, typer.Option("--frame-mask", help="Second input for padded batches of different lengths.")
    ] = False,
    precision: Annotated[
        str,
        typer.Option(
            help="fp32; fp16: half the size, fast on GPUs only; or int8: a third of the size, 2-3 times as "
            "fast on CPUs, needs --calibration.",
            rich_help_panel=SMALLER,
        ),
    ] = "fp32",
    calibration: Annotated[
        list[Path] | None,
        typer.Option(
            help="Feature file (.npy) or folder of them, repeatable: int8 is fitted to them, both are "
            "compared with fp32 on them. Without any, fp16 is compared on random numbers.",
            rich_help_panel=SMALLER,
        ),
    ] = None,
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            help="Folder of their <video>.txt, to compare F1 to the truth as well.", rich_help_panel=SMALLER
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Write the file although it keeps less than 99 % of the labels, has F1 below 98 against the "
            "segments of fp32, or loses more than 2 points of F1 to the truth.",
            rich_help_panel=SMALLER,
        ),
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
    from g2l.export.precision import Precision
    from g2l.pipeline.export import export_model
    from g2l.pipeline.export_videos import open_videos

    if alias is not None and register is None:
        raise InputError("--alias needs --register NAME.")
    kind = choice(Precision, precision, "precision")
    features = calibration or []
    _check(kind, features, ground_truth, force=force)
    network, metadata = load_network(model, checkpoint)
    videos = open_videos(features, ground_truth, metadata) if features else ()
    with scratch_context(quiet=quiet) as context:
        report = export_model(
            context,
            network,
            metadata,
            output,
            precision=kind,
            videos=videos,
            force=force,
            frame_mask=frame_mask,
            opset=opset,
            ir_version=ir_version,
            registered_model=register,
            alias=alias,
        )
        _say(report)


def _check(kind: Precision, features: list[Path], ground_truth: Path | None, *, force: bool) -> None:
    """Refuse options that would do nothing."""
    from g2l.export.precision import Precision

    if kind is Precision.FP32 and (features or ground_truth is not None or force):
        given = "--calibration" if features else "--force" if force else "--ground-truth"
        raise InputError(f"{given} needs --precision fp16 or int8.")
    if kind is Precision.INT8 and not features:
        raise InputError("--precision int8 needs --calibration DIR: feature files like those it will see.")
    if ground_truth is not None and not features:
        raise InputError("--ground-truth needs --calibration DIR, the features that it belongs to.")


def _say(report: ExportReport) -> None:
    console.say(
        f"{report.path}: opset {report.opset}, IR version {report.ir_version}, {report.precision}; "
        f"fp32 differs from torch by at most {report.max_difference:.1e} over {len(report.checks)} lengths, "
        f"{report.agreement:.2f} % of labels agree"
    )
    found = report.reduced
    if found is None:
        return
    facts = {
        "labels kept": f"{found.agreement:.2f} %",
        "F1 against segments of fp32": None if found.f1 is None else f"{found.f1:.1f}",
        "F1 to the truth": None if found.f1_change is None else f"{found.f1_change:+.1f}",
        "largest change of a probability": f"{found.max_difference:.3f}",
        "frames that are NaN": str(found.nan_frames) if found.nan_frames else None,
        "size of the file": f"{found.size:.0f} % of fp32",
        "frames fitted to": str(found.calibration_frames) if found.calibration_frames else None,
        "kept by --force": "yes" if found.forced else None,
    }
    on = f"{found.videos} videos" if found.inputs == "videos" else "random numbers, not on real features"
    console.facts(
        f"{found.precision} against fp32 on {on} ({found.frames} frames)",
        {name: value for name, value in facts.items() if value is not None},
    )
