"""What every session returns, and the checks on it."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from g2l.errors import OperationalError
from g2l.models.metadata import ModelMetadata

Probabilities: TypeAlias = npt.NDArray[np.float32]
"""Shape (C, T)."""
ProbabilityBatch: TypeAlias = npt.NDArray[np.float32]
"""Shape (B, C, T)."""


def require_shape(
    probabilities: npt.NDArray[np.float32], metadata: ModelMetadata, features: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return (…, C, T) for features (…, D, T).

    Raises:
        OperationalError: The shape differs.
    """
    *rows, _, frames = features.shape
    expected = (*rows, len(metadata.classes), frames)
    if probabilities.shape != expected:
        raise OperationalError(
            f"the model must give probabilities of shape {expected}, but gave {probabilities.shape} instead.",
            hint="its file is damaged, or was not made by g2l.",
        )
    return probabilities


def require_finite(probabilities: npt.NDArray[np.float32]) -> None:
    """Return if all probabilities are numbers.

    Raises:
        OperationalError: Some are NaN or infinite.
    """
    if not np.isfinite(probabilities).all():
        hint = "an fp16 export overflows where features are large."
        raise OperationalError("the model gives NaN.", hint=hint)
