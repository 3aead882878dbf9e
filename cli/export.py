"""`g2l export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from g2l.errors import InputError

from . import console
from .models import CheckpointOptions, ModelOption, load_network
from .options import Debug, Quiet
from .session import quick_workplace

if TYPE_CHECKING:
    from g2l.export.precision import Precision
    from g2l.export.report import ExportReport

SMALLER = "Smaller and faster"


def export(
    model: ModelOption,
    checkpoint: CheckpointOptions,
    output: Annotated[Path, typer.Option(help="File to write, ending in .onnx.")] = Path("model.onnx"),
    opset: Annotated[
        int | None, typer.Option(help="ONNX operator set; torch's own choice if not given.")
    ] = None,
    frame_mask: Annotated[
        bool, typer.Option("--frame-mask", help="Second input for padded batches of different lengths.")
    ] = False,
    precision: Annotated[
        str,
        typer.Option(help="fp32, or fp16: half the size, fast on GPUs only.", rich_help_panel=SMALLER),
    ] = "fp32",
    quantize: Annotated[
        str | None,
        typer.Option(
            help="int8: a third of the size, 2-3 times as fast on CPUs; needs --calibration.",
            rich_help_panel=SMALLER,
        ),
    ] = None,
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
    from g2l.export.reduction import Reduction
    from g2l.pipeline.export import export_model
    from g2l.pipeline.export_videos import open_videos

    if alias is not None and register is None:
        raise InputError("--alias needs --register NAME.")
    kind = _precision(precision, quantize)
    features = calibration or []
    _check(kind, features, ground_truth, force=force)
    network, metadata = load_network(model, checkpoint)
    reduction = None
    if kind is not Precision.FP32:
        videos = open_videos(features, ground_truth, metadata) if features else ()
        reduction = Reduction(precision=kind, videos=videos, force=force)
    with quick_workplace(output.parent, "cpu", quiet=quiet) as place:
        report = export_model(
            place,
            network,
            metadata,
            output,
            opset=opset,
            frame_mask=frame_mask,
            reduction=reduction,
            registered_model=register,
            alias=alias,
        )
        _say(report)


def _precision(precision: str, quantize: str | None) -> Precision:
    """Return the one number format that two options name."""
    from g2l.export.precision import Precision

    from .choices import choice

    floats = (Precision.FP32, Precision.FP16)
    if precision not in floats:
        hint = "int8 is --quantize int8 --calibration DIR." if precision == Precision.INT8 else None
        raise InputError(
            f"`precision` must be one of {', '.join(floats)}, but is {precision!r} instead.", hint=hint
        )
    if quantize is None:
        return choice(Precision, precision, "precision")
    if quantize != Precision.INT8:
        raise InputError(f"`quantize` must be int8, but is {quantize!r} instead.")
    if precision == Precision.FP16:
        raise InputError("--precision fp16 and --quantize int8 exclude each other.")
    return Precision.INT8


def _check(kind: Precision, features: list[Path], ground_truth: Path | None, *, force: bool) -> None:
    """Refuse options that would do nothing."""
    from g2l.export.precision import Precision

    if kind is Precision.FP32 and (features or ground_truth is not None or force):
        given = "--calibration" if features else "--force" if force else "--ground-truth"
        raise InputError(f"{given} needs --precision fp16 or --quantize int8.")
    if kind is Precision.INT8 and not features:
        raise InputError("--quantize int8 needs --calibration DIR: feature files like those it will see.")
    if ground_truth is not None and not features:
        raise InputError("--ground-truth needs --calibration DIR, the features that it belongs to.")


def _say(report: ExportReport) -> None:
    console.say(
        f"{report.path}: opset {report.opset}, {report.precision}; fp32 differs from torch by at most "
        f"{report.max_difference:.1e} over {len(report.checks)} lengths, "
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
        "speed on this CPU": None if report.speed is None else f"{report.speed:.2f} × fp32",
        "frames fitted to": str(found.calibration_frames) if found.calibration_frames else None,
        "kept by --force": "yes" if found.forced else None,
    }
    on = f"{found.videos} videos" if found.real else "random numbers, not on real features"
    console.facts(
        f"{found.precision} against fp32 on {on} ({found.frames} frames)",
        {name: value for name, value in facts.items() if value is not None},
    )
