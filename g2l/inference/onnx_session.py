"""Running an exported model by onnxruntime; all that is known of it comes from the one file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.datasets.features import Features
from g2l.errors import InputError
from g2l.inference.onnx_loading import load_onnx, run_failed
from g2l.inference.providers import (
    GPU_PROVIDERS,
    Device,
    confirm,
    plan_providers,
    tensorrt_profiles,
)
from g2l.inference.sessions import Probabilities, ProbabilityBatch, Session, fitting
from g2l.models.metadata import METADATA_KEY, ModelMetadata


class OnnxSession:
    """Runs an exported model; all it knows comes from the one file.

    Args:
        path: A `.onnx` file that g2l wrote.
        device: See `Device`.
        threads: CPU threads, or None for one per core that this process may use.

    Raises:
        InputError: The file is missing, is no ONNX model, or was not written by g2l, or the device that
            was named lacks a piece.
        OperationalError: The device did not start.
    """

    def __init__(self, path: Path, device: Device = Device.AUTO, threads: int | None = None) -> None:
        self._path = path
        self._threads = threads
        self._plan = plan_providers(device)
        if self._plan.device is Device.TENSORRT:
            self._plan = self._plan.with_options(tensorrt_profiles(*self._described()))
        self._session = self.reopened()
        self.metadata = _metadata(path, self._session)
        self.device_report = confirm(self._plan, self._session.get_providers())
        self.masked = _is_masked(self._session)
        self.on_cuda = self._session.get_providers()[0] == GPU_PROVIDERS[Device.CUDA]

    @cached_property
    def fingerprint(self) -> str:
        """What tells this file from others."""
        return hashlib.sha256(self._path.read_bytes()).hexdigest()

    def probabilities(self, features: Features) -> Probabilities:
        """Return class probabilities (C, T) of standardised, subsampled features (D, T)."""
        inputs = {"features": features[None]}
        if self.masked:
            inputs["frame_mask"] = np.ones((1, 1, features.shape[1]), dtype=np.float32)
        probabilities: Probabilities = self.run_bound(inputs)[0]
        return probabilities

    def run_bound(self, inputs: Mapping[str, npt.NDArray[np.float32]]) -> ProbabilityBatch:
        """Return class probabilities (B, C, T); the device reads the inputs from where they are.

        Raises:
            OperationalError: The runtime failed.
        """
        try:
            binding = self._session.io_binding()
            for name, array in inputs.items():
                binding.bind_cpu_input(name, array)
            binding.bind_output("probabilities", "cpu")
            self._session.run_with_iobinding(binding)
            probabilities: ProbabilityBatch = binding.copy_outputs_to_cpu()[0]
        except Exception as error:
            raise run_failed(error) from error
        return fitting(probabilities, self.metadata, inputs["features"])

    def reopened(self, options: Mapping[str, str] | None = None) -> Any:
        """Return onnxruntime's session of the same file, with more options of its first provider.

        Raises:
            InputError: The file is no ONNX model.
            OperationalError: The device did not start, or not with these options.
        """
        return load_onnx(self._path, self._plan.with_options(options or {}), threads=self._threads)

    def _described(self) -> tuple[int, bool]:
        """Return feature_dim and whether there is a frame mask, before the device has to know them."""
        session = load_onnx(self._path, plan_providers(Device.CPU), optimised=False)
        return _metadata(self._path, session).feature_dim, _is_masked(session)


def open_onnx_session(path: Path, device: Device, threads: int | None = None) -> Session:
    """Return what runs an exported model fastest on a device.

    Raises:
        InputError: As of `OnnxSession`.
        OperationalError: The device did not start.
    """
    session = OnnxSession(path, device, threads)
    if not (session.on_cuda and session.masked):
        return session
    from g2l.inference.cuda import CudaRuntime
    from g2l.inference.cuda_batches import CudaBatchSession

    return CudaBatchSession(session, CudaRuntime.find())


def _metadata(path: Path, session: Any) -> ModelMetadata:
    """Return what the file says of itself, after comparing it with the graph."""
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except UnicodeDecodeError:
        raise InputError(f"{path}: its metadata is no UTF-8 text.", hint="the file is damaged.") from None
    if text is None:
        raise InputError(
            f"{path}: expected `{METADATA_KEY}` metadata (classes, feature_dim, …), but there is none.",
            hint="only files written by `g2l export` can be used.",
        )
    metadata = ModelMetadata.from_json(text, str(path))
    inputs = {value.name: value.shape for value in session.get_inputs()}
    outputs = {value.name: value.shape for value in session.get_outputs()}
    found = (_size(inputs, "features"), _size(outputs, "probabilities"))
    expected = (metadata.feature_dim, len(metadata.classes))
    if found != expected or not inputs.keys() <= {"features", "frame_mask"}:
        raise InputError(
            f"{path}: expected `features` with {expected[0]} rows and `probabilities` with {expected[1]}, "
            f"as its metadata says, but its graph has {found[0]} and {found[1]} instead."
        )
    return metadata


def _is_masked(session: Any) -> bool:
    return len(session.get_inputs()) > 1


def _size(values: dict[str, Any], name: str) -> Any:
    shape = values.get(name, ())
    return shape[1] if len(shape) == 3 else None
