"""A model that is ready to run: `.onnx` by onnxruntime, `.safetensors` by torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from g2l.datasets.features import Features
from g2l.errors import InputError, OperationalError, brief
from g2l.inference.providers import Device, ProviderPlan, confirm, parse_device, plan_providers
from g2l.models.metadata import METADATA_KEY, ModelMetadata

Probabilities = npt.NDArray[np.float32]
"""Shape (C, T)."""


class Session(Protocol):
    """Runs one model. Not to be used from two threads at once.

    Attributes:
        metadata: Classes, feature_dim, sample rate and normalisation of the model.
        device_report: A line on what runs it and why.
    """

    metadata: ModelMetadata
    device_report: str

    def probabilities(self, features: Features) -> Probabilities:
        """Return class probabilities (C, T) of standardised, subsampled features (D, T).

        Raises:
            OperationalError: The runtime failed: out of memory, a lost device.
        """
        ...


class OnnxSession:
    """Runs an exported model; all it knows comes from the one file.

    Args:
        path: A `.onnx` file that g2l wrote.
        device: See `Device`.
        threads: CPU threads, or None for one per core.

    Raises:
        InputError: The file is missing, is no ONNX model, or was not written by g2l, or the device that
            was named lacks a piece.
        OperationalError: The device did not start.
    """

    def __init__(self, path: Path, device: Device = Device.AUTO, threads: int | None = None) -> None:
        self._session, plan = load_onnx(path, device, threads)
        self.metadata = _metadata(path, self._session)
        self.device_report = confirm(plan, self._session.get_providers())
        self._masked = len(self._session.get_inputs()) > 1

    def probabilities(self, features: Features) -> Probabilities:
        """Return class probabilities (C, T) of standardised, subsampled features (D, T)."""
        inputs = {"features": features[None]}
        if self._masked:
            inputs["frame_mask"] = np.ones((1, 1, features.shape[1]), dtype=np.float32)
        try:
            probabilities: Probabilities = self._session.run(["probabilities"], inputs)[0][0]
        except Exception as error:
            raise run_failed(error) from error
        return fitting(probabilities, self.metadata, features)


def load_onnx(path: Path, device: Device, threads: int | None) -> tuple[Any, ProviderPlan]:
    """Return onnxruntime's session for any `.onnx` file, and what was asked of it.

    Raises:
        InputError: The file is missing or no ONNX model, or the device that was named lacks a piece.
        OperationalError: The device did not start.
    """
    import onnxruntime

    _require_file(path)
    plan = plan_providers(device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 4  # what fails is raised, and warnings are about its own optimiser
    try:
        # `enable_fallback` would print to stdout and hide a failing device.
        session = onnxruntime.InferenceSession(
            path, options, providers=list(plan.providers), enable_fallback=0
        )
    except Exception as error:  # onnxruntime's errors have no common base class
        raise _not_loaded(path, plan.device, error) from None
    return session, plan


def run_failed(error: Exception) -> OperationalError:
    """Return what to raise where onnxruntime failed while a model ran."""
    return OperationalError(f"onnxruntime failed: {brief(error)}")


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
    if path.suffix == ".onnx":
        return OnnxSession(path, chosen, threads)
    if path.suffix == ".safetensors":
        from g2l.inference.torch_session import open_torch_session  # onnx alone needs no torch

        return open_torch_session(path, chosen, threads)
    _require_file(path)
    raise InputError(
        f"{path}: expected a model that ends in .onnx or .safetensors.",
        hint="a state dict of MS-TCN or G2L code needs --structure and --mapping.",
    )


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file.")


def _not_loaded(path: Path, device: Device, error: Exception) -> InputError | OperationalError:
    message = f"{path}: onnxruntime cannot load it ({brief(error)})."
    if device is Device.CPU:
        return InputError(message, hint="the file may be cut short, or be no ONNX model.")
    return OperationalError(message, hint="try --device cpu to tell a damaged file from a failing device.")


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


def _size(values: dict[str, Any], name: str) -> Any:
    shape = values.get(name, ())
    return shape[1] if len(shape) == 3 else None


def fitting(probabilities: Probabilities, metadata: ModelMetadata, features: Features) -> Probabilities:
    """Return what a network gave if it is (C, T): a damaged one may drop frames.

    Raises:
        OperationalError: It has another shape.
    """
    expected = (len(metadata.classes), features.shape[1])
    if probabilities.shape != expected:
        raise OperationalError(
            f"the model must give probabilities of shape {expected}, but gave {probabilities.shape} instead.",
            hint="its file is damaged, or was not made by g2l.",
        )
    return probabilities
