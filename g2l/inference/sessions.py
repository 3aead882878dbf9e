"""A model that is ready to run: `.onnx` by onnxruntime, `.safetensors` by torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from g2l.datasets.features import Features
from g2l.errors import InputError, no_such_file
from g2l.inference.batching import Batching
from g2l.inference.devices import parse_device
from g2l.inference.probabilities import Probabilities, ProbabilityBatch
from g2l.models.metadata import ModelMetadata


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
        """Identifies the model by its content."""
        ...

    def probabilities(self, features: Features) -> Probabilities:
        """Return class probabilities (C, T) of standardised, subsampled features (D, T).

        The returned array belongs to the caller; that of the features is reused after the call.

        Raises:
            OperationalError: The runtime failed: out of memory, a lost device.
        """
        ...


@runtime_checkable
class BatchSession(Session, Protocol):
    """A session that also computes several videos at once.

    Attributes:
        batching: What it computes at once.
    """

    batching: Batching

    def batch(self, features: npt.NDArray[np.float32], lengths: Sequence[int]) -> ProbabilityBatch:
        """Return class probabilities (B, C, T) of padded features (B, D, T).

        Args:
            features: Rows may be more than lengths.
            lengths: Frames of each row that are not padding.

        Raises:
            OperationalError: As of `probabilities`.
        """
        ...


def open_session(path: Path, device: str = "auto", threads: int | None = None) -> Session:
    """Return a session for a model file, chosen by its suffix.

    Args:
        path: A `.onnx` or `.safetensors` file.
        device: `auto`, `cpu` or `cuda`.
        threads: CPU threads, or None for the runtime's own choice.

    Raises:
        InputError: The device is unknown or does not work, or the file is missing, damaged or unknown.
        OperationalError: The device did not start.
    """
    chosen = parse_device(device)
    if threads is not None and threads < 1:
        raise InputError(f"`threads` must be >= 1, but is {threads} instead.")
    if not path.is_file():
        raise no_such_file(path)
    if path.suffix == ".onnx":
        from g2l.inference.onnx_session import OnnxSession

        return OnnxSession(path, chosen, threads)
    if path.suffix == ".safetensors":
        from g2l.inference.torch_session import TorchSession  # onnx alone needs no torch
        from g2l.models.artifact import load_model

        return TorchSession(*load_model(path), chosen, threads)
    raise InputError(
        f"{path}: expected a model that ends in .onnx or .safetensors.",
        hint="a state dict of MS-TCN or G2L code needs --structure and --mapping.",
    )
