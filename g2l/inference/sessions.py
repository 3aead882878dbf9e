"""A model that is ready to run: `.onnx` by onnxruntime, `.safetensors` by torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from g2l.datasets.features import Features
from g2l.errors import InputError, OperationalError, no_such_file
from g2l.inference.batching import Batching
from g2l.inference.providers import parse_device
from g2l.models.metadata import ModelMetadata

Probabilities = npt.NDArray[np.float32]
"""Shape (C, T)."""
ProbabilityBatch = npt.NDArray[np.float32]
"""Shape (B, C, T)."""


class Session(Protocol):
    """Runs one model. Not to be used from two threads at once.

    Attributes:
        metadata: Classes, feature_dim, sample rate and normalisation of the model.
        device_report: A line on what runs it and why.
    """

    metadata: ModelMetadata
    device_report: str

    @property
    def fingerprint(self) -> str:
        """What tells this model from others."""
        ...

    def probabilities(self, features: Features) -> Probabilities:
        """Return class probabilities (C, T) of standardised, subsampled features (D, T).

        The array that is returned is the caller's; that of the features is used again after the call.

        Raises:
            OperationalError: The runtime failed: out of memory, a lost device.
        """
        ...


@runtime_checkable
class BatchSession(Session, Protocol):
    """A session that is faster with videos of nearly the same length together.

    Attributes:
        batching: What it wants to compute at once.
    """

    batching: Batching

    def batch(self, features: Features, lengths: Sequence[int]) -> ProbabilityBatch:
        """Return class probabilities (B, C, T) of padded features (B, D, T).

        Args:
            features: An array of `allocate`; rows may be more than lengths.
            lengths: Frames of each row that are no padding.

        Raises:
            OperationalError: As of `probabilities`.
        """
        ...

    def allocate(self, size: int) -> npt.NDArray[np.float32]:
        """Return memory that is copied to the device fast."""
        ...


def open_session(path: Path, device: str = "auto", threads: int | None = None) -> Session:
    """Return a session for a model file, chosen by its suffix.

    Args:
        path: A `.onnx` or `.safetensors` file.
        device: `auto`, `cpu`, `cuda` or `tensorrt` (ONNX only).
        threads: CPU threads, or None for the runtime's own choice.

    Raises:
        InputError: The device is unknown or absent, or the file is missing, of another kind or damaged.
        OperationalError: The device did not start.
    """
    chosen = parse_device(device)
    if threads is not None and threads < 1:
        raise InputError(f"`threads` must be >= 1, but is {threads} instead.")
    if not path.is_file():
        raise no_such_file(path)
    if path.suffix == ".onnx":
        from g2l.inference.onnx_session import open_onnx_session

        return open_onnx_session(path, chosen, threads)
    if path.suffix == ".safetensors":
        from g2l.inference.torch_session import open_torch_session  # onnx alone needs no torch

        return open_torch_session(path, chosen, threads)
    raise InputError(
        f"{path}: expected a model that ends in .onnx or .safetensors.",
        hint="a state dict of MS-TCN or G2L code needs --structure and --mapping.",
    )


def fitting(probabilities: ProbabilityBatch, metadata: ModelMetadata, features: Features) -> ProbabilityBatch:
    """Return what a network gave if it is (…, C, T) for (…, D, T): a damaged one may drop frames.

    Raises:
        OperationalError: It has another shape.
    """
    *rows, _, frames = features.shape
    expected = (*rows, len(metadata.classes), frames)
    if probabilities.shape != expected:
        raise OperationalError(
            f"the model must give probabilities of shape {expected}, but gave {probabilities.shape} instead.",
            hint="its file is damaged, or was not made by g2l.",
        )
    return probabilities
