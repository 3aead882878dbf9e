"""Whether an exported model says what the network it was made of says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from g2l.errors import OperationalError
from g2l.structure import DilationStructure

Probabilities = npt.NDArray[np.float32]
"""Shape (B, C, T)."""
Runner = Callable[[dict[str, npt.NDArray[np.float32]]], Probabilities]
"""From the inputs by name to the probabilities."""


@dataclass(frozen=True)
class ParityCheck:
    """One comparison of the exported model with torch.

    Attributes:
        batch: Videos in the batch.
        frames: Length T of its longest video.
        max_difference: Largest absolute difference of a probability.
        agreement: Share of frames, in percent, with the same most probable class.
    """

    batch: int
    frames: int
    max_difference: float
    agreement: float


def check_lengths(structure: DilationStructure) -> tuple[tuple[int, int], ...]:
    """Return the (batch, frames) that are compared.

    One frame, fewer frames than the largest rate reaches, more than it reaches, and a batch.
    """
    largest = max(structure.rates)
    return ((1, 1), (1, max(2, largest - 1)), (1, 2 * largest + 5), (2, largest + 3))


def compare(
    model: Path | bytes,
    network: nn.Module,
    structure: DilationStructure,
    *,
    feature_dim: int,
    frame_mask: bool,
) -> tuple[ParityCheck, ...]:
    """Run `model` on the CPU and compare it with `network` on random features.

    Args:
        model: An ONNX file, or what it would hold.
        network: (features (B, D, T), frame_mask (B, 1, T) if asked for) -> probabilities (B, C, T).
        structure: Decides the lengths, see `check_lengths`.
        feature_dim: D.
        frame_mask: Whether both take a frame mask; the second video of a batch is then padded.

    Raises:
        OperationalError: onnxruntime cannot load or run the model.
    """
    run = open_runner(model)
    generator = np.random.default_rng(0)
    checks = []
    for batch, frames in check_lengths(structure):
        inputs = {"features": generator.standard_normal((batch, feature_dim, frames), dtype=np.float32)}
        valid = np.ones((batch, 1, frames), dtype=np.float32)
        if frame_mask:
            valid[1:, :, (frames + 1) // 2 :] = 0
            inputs["frame_mask"] = valid
        with torch.inference_mode():
            expected = network(*(torch.from_numpy(value) for value in inputs.values())).numpy()
        checks.append(_check(run(inputs), expected, valid[:, 0] > 0))
    return tuple(checks)


def open_runner(model: Path | bytes) -> Runner:
    """Return what runs an ONNX model on the CPU.

    Raises:
        OperationalError: onnxruntime cannot load it; what is returned raises the same if it cannot run it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base class
        raise OperationalError(f"onnxruntime cannot load the export: {_line(error)}") from error

    def run(inputs: dict[str, Probabilities]) -> Probabilities:
        try:
            probabilities: Probabilities = session.run(["probabilities"], inputs)[0]
        except Exception as error:
            raise OperationalError(f"onnxruntime cannot run the export: {_line(error)}") from error
        return probabilities

    return run


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check(found: Probabilities, expected: Probabilities, valid: npt.NDArray[np.bool_]) -> ParityCheck:
    """Compare (B, C, T) with (B, C, T) where `valid` (B, T) holds."""
    batch, _, frames = expected.shape
    difference = np.abs(found - expected).max(axis=1)[valid].max()  # NaN stays NaN and fails the export
    same = (found.argmax(axis=1) == expected.argmax(axis=1))[valid].mean()
    return ParityCheck(batch, frames, float(difference), 100.0 * float(same))
