"""Exporting a trained model as a stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from g2l.export.onnx_export import ExportReport, export_onnx
from g2l.export.precision import Precision, Video
from g2l.models.metadata import METADATA_KEY, ModelMetadata
from g2l.pipeline.context import RunContext
from g2l.pipeline.output import link_or_copy, refuse_foreign_file
from g2l.records import RunKind, write_result

if TYPE_CHECKING:
    from torch import nn

MODEL = "model.onnx"


def export_model(
    context: RunContext,
    model: nn.Module,
    metadata: ModelMetadata,
    output: Path,
    *,
    precision: Precision = Precision.FP32,
    videos: Sequence[Video] = (),
    force: bool = False,
    frame_mask: bool = False,
    opset: int | None = None,
    ir_version: int | None = None,
    registered_model: str | None = None,
    alias: str | None = None,
    folder: str = "",
) -> ExportReport:
    """Write one checked ONNX file, and keep it in the folder of the stage as well.

    Args:
        context: Where it runs.
        model: The network.
        metadata: What the file says of itself.
        output: The `.onnx` file; an earlier export is replaced.
        precision: As of `export_onnx`, like the five after it.
        videos: For fp16 and int8.
        force: Whether to keep an fp16 or int8 model that falls short.
        frame_mask: Whether the file takes a frame mask.
        opset: Version of the operator set.
        ir_version: Version of the file format.
        registered_model: Name to register the model under in MLflow, or None.
        alias: Alias of the registered version, or None.
        folder: Of the stage, below that of the context.

    Raises:
        InputError: Opset or suffix are none that work, a video cannot be read, or `output` is another file.
        OperationalError: The export failed or differs too much from torch, or the reduced model from fp32.
    """
    refuse_foreign_file(output, _is_export)
    settings = {"precision": precision.value, "frame_mask": frame_mask, "opset": opset}
    with context.stage(RunKind.EXPORT, "export", settings, folder) as stage:
        report = export_onnx(
            model,
            metadata,
            output,
            precision=precision,
            videos=videos,
            force=force,
            frame_mask=frame_mask,
            opset=opset,
            ir_version=ir_version,
        )
        link_or_copy(output, stage.folder / MODEL)
        result = {
            "precision": precision.value,
            "opset": report.opset,
            "reduced": None if report.reduced is None else report.reduced.as_dict(),
            "register": {"name": registered_model, "alias": alias},
        }
        write_result(stage.folder, result, (MODEL,), metrics=_metrics(report))
    return report


def _metrics(report: ExportReport) -> dict[str, float]:
    """Return the numbers that the tracked run shows."""
    metrics = {"max_difference": report.max_difference, "label_agreement": report.agreement}
    measured = {} if report.reduced is None else report.reduced.measured
    return metrics | {f"{report.precision}/{name}": value for name, value in measured.items()}


def _is_export(path: Path) -> bool:
    """Tell whether an ONNX file was exported by g2l: its metadata has our key (protobuf fields 1 and 2)."""
    key = METADATA_KEY.encode()
    return b"\x0a" + bytes([len(key)]) + key + b"\x12" in path.read_bytes()
