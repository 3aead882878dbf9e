"""`g2l export`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from g2l.settings import setting

from . import console
from .inputs import load_network
from .session import scratch_context
from .settings import MODEL_HELP, ConsoleConfig, PublishedConfig, first

if TYPE_CHECKING:
    from g2l.export.onnx_export import ExportReport

REDUCED = ("fp16", "int8")


class ExportConfig(ConsoleConfig):
    """Model to export, and its number format."""

    model: str = first("", MODEL_HELP, required=True)
    output: Path = first(Path("model.onnx"), "Output file (.onnx).")
    precision: str = first(
        "fp32",
        "fp16: half the size, for GPUs; int8: 2-3 times as fast on CPUs, needs --calibration.",
        choices=("fp32", *REDUCED),
    )
    calibration: tuple[Path, ...] = first(
        (),
        "Features to calibrate int8 and to compare with fp32; repeatable.",
        needs={"precision": REDUCED},
    )
    ground_truth: Path | None = first(
        None,
        "Ground truth of the --calibration videos, to compare F1.",
        needs={"precision": REDUCED, "calibration": ()},
    )
    force: bool = setting(
        False,
        "Write the file even if its labels differ too much from fp32.",
        needs={"precision": REDUCED},
    )
    opset: int | None = setting(None, "ONNX operator set version.", default_text="torch's default")
    frame_mask: bool = setting(
        False, "Add an input that masks padded frames, for batches of different lengths."
    )
    register: str | None = setting(None, "Register the model in MLflow under this name.")
    alias: str | None = setting(None, "Alias of the registered version.", needs={"register": ()})

    def errors(self) -> Iterator[str]:
        """Yield one sentence per error."""
        yield from super().errors()
        if self.precision == "int8" and not self.calibration:
            yield "`precision` int8 needs `calibration`: features like those the model will see."


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
    parity, found = report.parity, report.reduced
    console.say(
        f"{report.path}: opset {report.opset}, IR version {report.ir_version}, {report.precision}; "
        f"fp32 differs from torch by at most {parity.max_difference:.1e} over {len(parity.lengths)} lengths, "
        f"{parity.agreement:.2f} % of labels agree"
    )
    if found is None:
        return
    facts = {"labels kept": f"{found.agreement:.2f} %"}
    if found.f1 is not None:
        facts["F1 against segments of fp32"] = f"{found.f1:.1f}"
    if found.f1_change is not None:
        facts["change of F1 against the ground truth"] = f"{found.f1_change:+.1f}"
    facts["largest change of a probability"] = f"{found.max_difference:.2g}"
    if found.nan_frames:
        facts["frames that are NaN"] = str(found.nan_frames)
    facts["size of the file"] = f"{found.size:.0f} % of fp32"
    if found.calibration_frames:
        facts["frames used for calibration"] = str(found.calibration_frames)
    if found.forced:
        facts["limits missed"] = "written because of --force"
    videos = console.count(found.videos, "video")
    on = videos if found.inputs == "videos" else "random numbers, not on real features"
    console.facts(f"{found.precision} against fp32 on {on} ({found.frames} frames)", facts)
