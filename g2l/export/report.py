"""What an export was compared with, and when it is good enough to be kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from g2l.errors import OperationalError
from g2l.export.parity import ParityCheck

LARGEST_DIFFERENCE = 1e-4
"""Of a probability, between torch and an fp32 export."""
LEAST_AGREEMENT = 99.0
"""Percentage of frames whose label an fp16 export must keep; its probabilities differ by rounding."""


class Precision(StrEnum):
    """Number format of the weights and of what is computed; inputs and outputs are float32 always."""

    FP32 = "fp32"
    FP16 = "fp16"


@dataclass(frozen=True)
class ExportReport:
    """What was written and how it compares with the network.

    Attributes:
        path: The ONNX file.
        opset: Version of the operator set.
        precision: Of weights and computation.
        checks: One comparison with torch per length.
    """

    path: Path
    opset: int
    precision: Precision
    checks: tuple[ParityCheck, ...]

    @property
    def max_difference(self) -> float:
        """Largest absolute difference of a probability over all lengths; NaN if any is."""
        differences = [check.max_difference for check in self.checks]
        return math.nan if any(map(math.isnan, differences)) else max(differences)

    @property
    def agreement(self) -> float:
        """Percentage of frames with the same label over all lengths."""
        frames = [check.batch * check.frames for check in self.checks]
        same = (check.agreement * count for check, count in zip(self.checks, frames, strict=True))
        return sum(same) / sum(frames)

    def require_parity(self) -> None:
        """Return if the export says what the network says.

        Raises:
            OperationalError: Probabilities (fp32) or labels (fp16) differ too much, or are NaN.
        """
        if math.isnan(self.max_difference):
            raise OperationalError(f"{self.path}: the network or its export gives NaN; nothing was written.")
        if self.precision is Precision.FP32 and self.max_difference > LARGEST_DIFFERENCE:
            raise OperationalError(
                f"{self.path}: the export differs from torch by {self.max_difference:.2g}, "
                f"more than {LARGEST_DIFFERENCE:.0e}; nothing was written."
            )
        if self.precision is Precision.FP16 and self.agreement < LEAST_AGREEMENT:
            raise OperationalError(
                f"{self.path}: the fp16 export keeps {self.agreement:.1f} % of torch's labels, "
                f"less than {LEAST_AGREEMENT:.0f} %; nothing was written.",
                hint="export with --precision fp32.",
            )
