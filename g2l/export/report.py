"""What an export was compared with, and when it is good enough to be kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from g2l.errors import OperationalError
from g2l.export.parity import ParityCheck
from g2l.export.precision import Precision, PrecisionReport

LARGEST_DIFFERENCE = 1e-4
"""Of a probability, between torch and an fp32 export."""


@dataclass(frozen=True)
class ExportReport:
    """What was written and how it compares with the network.

    Attributes:
        path: The ONNX file.
        opset: Version of the operator set.
        checks: One comparison of the fp32 export with torch per length.
        reduced: How the fp16 or int8 model that was written compares with fp32; None of an fp32 file.
        speed: How many times as fast as fp32 an int8 model ran on this CPU; None of others.
    """

    path: Path
    opset: int
    checks: tuple[ParityCheck, ...]
    reduced: PrecisionReport | None = None
    speed: float | None = None

    @property
    def precision(self) -> Precision:
        """Of weights and computation."""
        return Precision.FP32 if self.reduced is None else self.reduced.precision

    @property
    def max_difference(self) -> float:
        """Largest absolute difference of a probability from torch over all lengths."""
        return max(check.max_difference for check in self.checks)

    @property
    def agreement(self) -> float:
        """Percentage of frames with torch's label over all lengths."""
        frames = [check.batch * check.frames for check in self.checks]
        same = (check.agreement * count for check, count in zip(self.checks, frames, strict=True))
        return sum(same) / sum(frames)

    def require_parity(self) -> None:
        """Return if the fp32 export says what the network says.

        Raises:
            OperationalError: Probabilities differ too much, or are NaN.
        """
        if any(math.isnan(check.max_difference) for check in self.checks):
            raise OperationalError(f"{self.path}: the network or its export gives NaN; nothing was written.")
        if self.max_difference > LARGEST_DIFFERENCE:
            raise OperationalError(
                f"{self.path}: the export differs from torch by {self.max_difference:.2g}, "
                f"more than {LARGEST_DIFFERENCE:.0e}; nothing was written."
            )
