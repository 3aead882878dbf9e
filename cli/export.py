"""`g2l export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import console
from .inputs import load_network
from .session import scratch_context
from .settings import ExportConfig, PublishedConfig

if TYPE_CHECKING:
    from g2l.export.onnx_export import ExportReport


def export(config: ExportConfig, published: PublishedConfig) -> None:
    """Export a model to one self-contained ONNX file, checked against torch.

    Example: g2l export --model model.safetensors --output model.onnx
    """
    from g2l.export.precision import Precision
    from g2l.pipeline.export import export_model, open_videos

    network, metadata = load_network(config.model, published)
    features = list(config.calibration)
    videos = open_videos(features, config.ground_truth, metadata) if features else ()
    with scratch_context(quiet=config.quiet) as context:
        report = export_model(
            context,
            network,
            metadata,
            config.output,
            precision=Precision(config.precision),
            videos=videos,
            force=config.force,
            frame_mask=config.frame_mask,
            opset=config.opset,
            registered_model=config.register,
            alias=config.alias,
        )
        _say(report)


def _say(report: ExportReport) -> None:
    parity = report.parity
    console.say(
        f"{report.path}: opset {report.opset}, IR version {report.ir_version}, {report.precision}; "
        f"fp32 differs from torch by at most {parity.max_difference:.1e} over {len(parity.lengths)} lengths, "
        f"{parity.agreement:.2f} % of labels agree"
    )
    found = report.reduced
    if found is None:
        return
    facts = {
        "labels kept": f"{found.agreement:.2f} %",
        "F1 against segments of fp32": None if found.f1 is None else f"{found.f1:.1f}",
        "change of F1 against the ground truth": None
        if found.f1_change is None
        else f"{found.f1_change:+.1f}",
        "largest change of a probability": f"{found.max_difference:.2g}",
        "frames that are NaN": str(found.nan_frames) if found.nan_frames else None,
        "size of the file": f"{found.size:.0f} % of fp32",
        "frames used for calibration": str(found.calibration_frames) if found.calibration_frames else None,
        "limits missed": "written because of --force" if found.forced else None,
    }
    on = (
        console.count(found.videos, "video")
        if found.inputs == "videos"
        else "random numbers, not on real features"
    )
    console.facts(
        f"{found.precision} against fp32 on {on} ({found.frames} frames)",
        {name: value for name, value in facts.items() if value is not None},
    )
