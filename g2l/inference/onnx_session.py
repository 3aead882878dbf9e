"""Running an exported model by onnxruntime; everything about it comes from the one file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.config import Normalization
from g2l.datasets.features import Features
from g2l.errors import InputError, OperationalError, brief, no_such_file
from g2l.inference.batching import Batching, Buckets, OneByOne
from g2l.inference.devices import CUDA_PROVIDER, Device, ProviderPlan, confirm, plan_providers
from g2l.inference.probabilities import Probabilities, ProbabilityBatch, require_shape
from g2l.machine import usable_cores
from g2l.models.metadata import METADATA_KEY, STANDARDIZED, ModelMetadata

BATCH_FRAMES = 16_384
"""Of a batch on a GPU, padding included: 134 MB of features at feature_dim 2048."""


class OnnxSession:
    """Runs an exported model; implements `BatchSession`.

    On CUDA a model with a frame mask computes short videos in batches: a GPU computes one of them faster than
    its kernels can be launched.

    Args:
        path: A `.onnx` file that g2l wrote.
        device: See `Device`.
        threads: CPU threads, or None for one per usable core.

    Raises:
        InputError: The file is missing, is not an ONNX model, or was not written by g2l, or the named device
            does not work.
        OperationalError: The device did not start.
    """

    def __init__(self, path: Path, device: Device = Device.AUTO, threads: int | None = None) -> None:
        self._path = path
        plan = plan_providers(device)
        self._session = load_onnx(path, plan, threads=threads)
        self.metadata = _metadata(path, self._session)
        active = self._session.get_providers()
        self.device_report = confirm(plan, active)
        self._masked = len(self._session.get_inputs()) > 1
        self._input = "features"
        if self.metadata.normalize is not Normalization.NONE and (inner := _without_normalization(path)):
            self._session, self._input = load_onnx(path, plan, threads=threads, content=inner), STANDARDIZED
        on_cuda = self._masked and active[0] == CUDA_PROVIDER
        self.batching: Batching = Buckets(BATCH_FRAMES) if on_cuda else OneByOne()

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the file by its content."""
        return hashlib.sha256(self._path.read_bytes()).hexdigest()

    def probabilities(self, features: Features) -> Probabilities:
        """Return class probabilities (C, T) of standardised, subsampled features (D, T)."""
        probabilities: Probabilities = self.batch(features[None], [features.shape[1]])[0]
        return probabilities

    def batch(self, features: npt.NDArray[np.float32], lengths: Sequence[int]) -> ProbabilityBatch:
        """Return class probabilities (B, C, T) of padded features (B, D, T).

        Raises:
            OperationalError: The runtime failed.
        """
        inputs: dict[str, npt.NDArray[Any]] = {self._input: features}
        if self._masked:
            inputs["frame_mask"] = frame_masks(lengths, len(features), features.shape[2])
        return require_shape(self._run(inputs), self.metadata, features)

    def _run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> ProbabilityBatch:
        """Run the graph by IO binding: the device reads the inputs from where they are."""
        try:
            binding = self._session.io_binding()
            for name, array in inputs.items():
                binding.bind_cpu_input(name, array)
            binding.bind_output("probabilities", "cpu")
            self._session.run_with_iobinding(binding)
            probabilities: ProbabilityBatch = binding.copy_outputs_to_cpu()[0]
        except Exception as error:  # onnxruntime's errors have no common base class
            raise run_failed(error) from error
        return probabilities


def load_onnx(
    path: Path, plan: ProviderPlan, *, threads: int | None = None, content: bytes | None = None
) -> Any:
    """Return onnxruntime's session for a file.

    Args:
        path: The file.
        plan: The providers to run it by.
        threads: CPU threads, or None for one per core that this process may use.
        content: What to load instead of its content, or None.

    Raises:
        InputError: The file is missing or not an ONNX model.
        OperationalError: The device did not start.
    """
    import onnxruntime

    if not path.is_file():
        raise no_such_file(path)
    settings = onnxruntime.SessionOptions()
    # Its own default takes no account of affinity or of the limits of a container.
    settings.intra_op_num_threads = threads or usable_cores()
    settings.log_severity_level = 4  # failures are raised, and warnings are about its own optimiser
    try:
        # `enable_fallback` would print to stdout and hide a failing device.
        return onnxruntime.InferenceSession(
            content or path, settings, providers=list(plan.providers), enable_fallback=0
        )
    except Exception as error:  # onnxruntime's errors have no common base class
        message = f"{path}: onnxruntime cannot load it ({brief(error)})."
        if plan.device is Device.CPU:
            hint = "the file may be truncated, or not an ONNX model."
            raise InputError(message, hint=hint) from None
        hint = "try --device cpu to tell a damaged file from a failing device."
        raise OperationalError(message, hint=hint) from None


def _without_normalization(path: Path) -> bytes | None:
    """Return the model without the nodes that normalise its features, or None where it has none.

    Features are normalised by us as for every model: the statistics of a video cannot be computed from a tile
    of it.
    """
    import onnx

    model = onnx.load(path)
    graph = model.graph
    last = next((number for number, node in enumerate(graph.node) if STANDARDIZED in node.output), None)
    if last is None:  # exported by 0.1.0
        return None
    del graph.node[: last + 1]
    next(value for value in graph.input if value.name == "features").name = STANDARDIZED
    content: bytes = model.SerializeToString()
    return content


def run_failed(error: Exception) -> OperationalError:
    """Return the error to raise where onnxruntime failed while a model ran."""
    return OperationalError(f"onnxruntime failed: {brief(error)}")


def frame_masks(lengths: Sequence[int], rows: int, frames: int) -> npt.NDArray[np.float32]:
    """Return the mask (rows, 1, frames) of a batch: 1 for the first frames of each row, as many as it has."""
    mask = np.zeros((rows, 1, frames), np.float32)
    for row, length in enumerate(lengths):
        mask[row, 0, :length] = 1
    return mask


def _metadata(path: Path, session: Any) -> ModelMetadata:
    """Return the metadata in the file, after comparing it with the graph."""
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except UnicodeDecodeError:
        raise InputError(f"{path}: its metadata is not UTF-8 text.", hint="the file is damaged.") from None
    if text is None:
        raise InputError(
            f"{path}: expected `{METADATA_KEY}` metadata (classes, feature_dim, …), but there is none.",
            hint="only files written by `g2l export` can be used.",
        )
    metadata = ModelMetadata.from_json(text, str(path))
    inputs = {value.name: value.shape for value in session.get_inputs()}
    outputs = {value.name: value.shape for value in session.get_outputs()}
    found = (_rows(inputs, "features"), _rows(outputs, "probabilities"))
    expected = (metadata.feature_dim, len(metadata.classes))
    if found != expected or not inputs.keys() <= {"features", "frame_mask"}:
        raise InputError(
            f"{path}: expected `features` with {expected[0]} rows and `probabilities` with {expected[1]}, "
            f"as its metadata says, but its graph has {found[0]} and {found[1]} instead."
        )
    return metadata


def _rows(values: dict[str, Any], name: str) -> Any:
    shape = values.get(name, ())
    return shape[1] if len(shape) == 3 else None
