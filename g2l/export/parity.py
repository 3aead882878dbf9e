"""Comparison of an exported model with the network that it was made of."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from g2l.errors import OperationalError, brief
from g2l.structure import DilationStructure

LARGEST_DIFFERENCE = 1e-4
"""Of a probability, between torch and an fp32 export."""
_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "onnxruntime")

Batch: TypeAlias = npt.NDArray[np.float32]
"""Features (B, D, T), probabilities (B, C, T) or a frame mask (B, 1, T)."""
Runner: TypeAlias = Callable[[dict[str, Batch]], Batch]
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
    normalize: Callable[[Batch], Batch] | None = None,
) -> tuple[ParityCheck, ...]:
    """Run `model` on the CPU and compare it with `network` on random features.

    Args:
        model: An ONNX file, or its content.
        network: (features (B, D, T), with `frame_mask` also (B, 1, T)) -> probabilities (B, C, T).
        structure: Decides the lengths, see `check_lengths`.
        feature_dim: D.
        frame_mask: Whether both take a frame mask; the second video of a batch is then padded.
        normalize: The normalisation (D, T) -> (D, T) inside the model, or None without one.

    Raises:
        OperationalError: onnxruntime cannot load or run the model.
    """
    run = open_runner(model)
    generator = np.random.default_rng(0)
    offsets = np.zeros((feature_dim, 1), np.float32)
    if normalize is not None:
        offsets += np.linspace(-5, 5, feature_dim, dtype=np.float32)[:, None]
    checks = []
    for batch, frames in check_lengths(structure):
        features = generator.standard_normal((batch, feature_dim, frames), dtype=np.float32) + offsets
        valid = np.ones((batch, 1, frames), dtype=np.float32)
        if frame_mask:
            valid[1:, :, (frames + 1) // 2 :] = 0
        prepared = features.copy()
        if normalize is not None:
            for row, mask in zip(prepared, valid[:, 0] > 0, strict=True):
                row[:, mask] = normalize(np.ascontiguousarray(row[:, mask]))
        masks = {"frame_mask": valid} if frame_mask else {}
        with torch.inference_mode():
            arguments = [torch.from_numpy(value) for value in (prepared, *masks.values())]
            expected = network(*arguments).numpy()
        checks.append(_check(run({"features": features, **masks}), expected, valid[:, 0] > 0))
    return tuple(checks)


def open_runner(model: Path | bytes) -> Runner:
    """Return a function that runs an ONNX model on the CPU.

    Raises:
        OperationalError: onnxruntime cannot load it; the function raises the same if it cannot run it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base class
        raise OperationalError(f"onnxruntime cannot load the export: {brief(error)}") from error

    def run(inputs: dict[str, Batch]) -> Batch:
        try:
            probabilities: Batch = session.run(["probabilities"], inputs)[0]
        except Exception as error:
            raise OperationalError(f"onnxruntime cannot run the export: {brief(error)}") from error
        return probabilities

    return run


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and log messages of exporters and quantisers."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check(found: Batch, expected: Batch, valid: npt.NDArray[np.bool_]) -> ParityCheck:
    """Compare (B, C, T) with (B, C, T) where `valid` (B, T) holds."""
    batch, _, frames = expected.shape
    difference = np.abs(found - expected).max(axis=1)[valid].max()  # NaN stays NaN and fails the export
    same = (found.argmax(axis=1) == expected.argmax(axis=1))[valid].mean()
    return ParityCheck(batch, frames, float(difference), 100.0 * float(same))
