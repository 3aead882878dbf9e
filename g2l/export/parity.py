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

from g2l.config import Normalization
from g2l.datasets.normalize import normalize
from g2l.errors import OperationalError, brief
from g2l.models.metadata import ModelMetadata
from g2l.structure import DilationStructure

LARGEST_DIFFERENCE = 1e-4
"""Of a probability, between torch and an fp32 export."""
_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir", "onnxruntime")

Batch: TypeAlias = npt.NDArray[np.float32]
"""Features (B, D, T), probabilities (B, C, T) or a frame mask (B, 1, T)."""
Runner: TypeAlias = Callable[[dict[str, Batch]], Batch]
"""From the inputs by name to the probabilities."""


@dataclass(frozen=True)
class Parity:
    """Comparison of an exported model with torch."""

    lengths: tuple[tuple[int, int], ...]
    """(batch, frames) of what was compared."""
    max_difference: float
    """Largest absolute difference of a probability; NaN where one is NaN."""
    agreement: float
    """Share of frames, in percent, with the same most probable class."""


def check_lengths(structure: DilationStructure) -> tuple[tuple[int, int], ...]:
    """Return (batch, frames): a frame, fewer than the largest rate reaches, more than that, and a batch."""
    largest = max(structure.rates)
    return ((1, 1), (1, max(2, largest - 1)), (1, 2 * largest + 5), (2, largest + 3))


def compare(model: Path | bytes, network: nn.Module, metadata: ModelMetadata, *, frame_mask: bool) -> Parity:
    """Run a model on the CPU and compare it with the network that it was made of on random features.

    The model, an ONNX file or its content, normalises; the network does not. With a frame mask, which both
    take, the second video of a batch is padded.
    """
    run = open_runner(model)
    generator = np.random.default_rng(0)
    offsets = np.zeros((metadata.feature_dim, 1), np.float32)
    if metadata.normalize is not Normalization.NONE:
        offsets += np.linspace(-5, 5, metadata.feature_dim, dtype=np.float32)[:, None]
    lengths = check_lengths(metadata.structure)
    differences, same = [], []
    for batch, frames in lengths:
        features = (
            generator.standard_normal((batch, metadata.feature_dim, frames), dtype=np.float32) + offsets
        )
        mask = np.ones((batch, 1, frames), dtype=np.float32)
        if frame_mask:
            mask[1:, :, (frames + 1) // 2 :] = 0
        valid = mask[:, 0] > 0
        prepared = features.copy()
        for row, own in zip(prepared, valid, strict=True):
            raw = np.ascontiguousarray(row[:, own])
            row[:, own] = normalize(raw, metadata.normalize, metadata.mean, metadata.std)
        masks = {"frame_mask": mask} if frame_mask else {}
        with torch.inference_mode():
            arguments = [torch.from_numpy(value) for value in (prepared, *masks.values())]
            expected = network(*arguments).numpy()
        found = run({"features": features, **masks})
        differences.append(np.abs(found - expected).max(axis=1)[valid])
        same.append((found.argmax(axis=1) == expected.argmax(axis=1))[valid])
    largest = np.concatenate(differences).max()  # NaN stays NaN and fails the export
    return Parity(lengths, float(largest), 100.0 * float(np.concatenate(same).mean()))


def open_runner(model: Path | bytes) -> Runner:
    """Return a function that runs an ONNX model on the CPU; both raise OperationalError if that fails."""
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
