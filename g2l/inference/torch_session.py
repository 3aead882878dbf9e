"""Running a network by torch, without an export."""

from __future__ import annotations

import hashlib
from functools import cached_property

import torch
from torch import nn

from g2l.datasets.features import Features
from g2l.errors import OperationalError, brief
from g2l.inference.devices import Device
from g2l.inference.probabilities import Probabilities, require_shape
from g2l.models.metadata import ModelMetadata
from g2l.training.device import resolve_device


class TorchSession:
    """Runs a network that is already in memory, such as an official checkpoint.

    Args:
        model: (features (B, D, T)) -> logits (S, B, C, T); moved to the device and put in evaluation mode.
        metadata: Of the model.
        device: Auto, cpu or cuda.
        threads: CPU threads of this process, or None to leave them as they are.

    Raises:
        InputError: The device is cuda, and torch finds no GPU.
    """

    def __init__(
        self,
        model: nn.Module,
        metadata: ModelMetadata,
        device: Device = Device.AUTO,
        threads: int | None = None,
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self.metadata = metadata
        self._device = resolve_device(device)
        self._model = model.to(self._device).eval()
        self.device_report = f"{self._device.type} by torch"
        if device is Device.AUTO and self._device.type == "cpu":
            self.device_report += " (torch finds no usable GPU)"

    @cached_property
    def fingerprint(self) -> str:
        """Identifies weights and metadata by their content."""
        digest = hashlib.sha256(self.metadata.to_json().encode())
        for name, values in self._model.state_dict().items():
            digest.update(name.encode())
            digest.update(values.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def probabilities(self, features: Features) -> Probabilities:
        """Return class probabilities (C, T) of standardised, subsampled features (D, T)."""
        try:
            with torch.inference_mode():
                batch = torch.from_numpy(features)[None].to(self._device)
                # (S, 1, C, T) -> (C, T)
                probabilities: Probabilities = torch.softmax(self._model(batch)[-1, 0], dim=0).cpu().numpy()
        except RuntimeError as error:
            raise OperationalError(f"torch failed: {brief(error)}") from error
        return require_shape(probabilities, self.metadata, features)
