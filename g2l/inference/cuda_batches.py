"""Short videos on a GPU: batches of padded length, each launched as one CUDA graph.

A GPU computes a short video faster than its kernels can be launched one by one. So videos of nearly the same
length are computed together; and since a bucket has a fixed shape, its kernels are recorded once
and replayed with a single launch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from g2l.datasets.features import Features
from g2l.errors import OperationalError, brief
from g2l.inference.batching import Buckets
from g2l.inference.cuda import CudaRuntime
from g2l.inference.loading import new_array
from g2l.inference.onnx_session import OnnxSession
from g2l.inference.sessions import Probabilities, ProbabilityBatch

logger = logging.getLogger("g2l")

BATCH_FRAMES = 16_384
"""Of a batch, padding included: 134 MB of features at feature_dim 2048."""

_Array = npt.NDArray[np.float32]


class CudaBatchSession:
    """Runs an exported model with a frame mask on a GPU; implements `BatchSession`.

    Args:
        session: The model, on CUDA, with a frame mask.
        cuda: CUDA's runtime library, or None where there is none: then without graphs and page-locked memory.
    """

    def __init__(self, session: OnnxSession, cuda: CudaRuntime | None) -> None:
        self.metadata = session.metadata
        self.device_report = session.device_report
        self.batching = Buckets(BATCH_FRAMES)
        self._session = session
        self._cuda = cuda
        self._graphs = None if cuda is None else _graphs(session, cuda)

    @property
    def fingerprint(self) -> str:
        """What tells this model from others."""
        return self._session.fingerprint

    def probabilities(self, features: Features) -> Probabilities:
        """Return class probabilities (C, T) of standardised, subsampled features (D, T)."""
        return self._session.probabilities(features)

    def allocate(self, size: int) -> _Array:
        """Return page-locked memory where there is some."""
        return new_array(size) if self._cuda is None else self._cuda.pinned_array(size)

    def batch(self, features: _Array, lengths: Sequence[int]) -> ProbabilityBatch:
        """Return class probabilities (B, C, T) of padded features (B, D, T)."""
        mask = frame_masks(lengths, len(features), features.shape[2])
        if self._graphs is not None:
            try:
                return self._graphs.run(features, mask)
            except Exception as error:  # onnxruntime's errors have no common base class
                logger.info("CUDA graphs are not used: %s", brief(error))
                self._graphs = None
        return self._session.run_bound({"features": features, "frame_mask": mask})


def frame_masks(lengths: Sequence[int], rows: int, frames: int) -> _Array:
    """Return the mask (rows, 1, frames) of a batch: 1 for the first frames of each row, as many as it has."""
    mask = np.zeros((rows, 1, frames), np.float32)
    for row, length in enumerate(lengths):
        mask[row, 0, :length] = 1
    return mask


def _graphs(session: OnnxSession, cuda: CudaRuntime) -> CudaGraphs | None:
    """Return what replays the model, or None where it cannot be recorded: a part of it runs on the CPU."""
    try:
        recorded = session.reopened({"enable_cuda_graph": "1"})
    except OperationalError as error:
        logger.info("CUDA graphs are not used: %s", error.message)
        return None
    return CudaGraphs(recorded, cuda, session.metadata.feature_dim, len(session.metadata.classes))


class CudaGraphs:
    """A model whose kernels are recorded once for each shape of a batch.

    A recording holds addresses. So inputs and output of every shape lie at the start of the same three
    buffers on the device.

    Args:
        session: onnxruntime's, with `enable_cuda_graph`.
        cuda: CUDA's runtime library.
        feature_dim: D.
        classes: C.
    """

    def __init__(self, session: Any, cuda: CudaRuntime, feature_dim: int, classes: int) -> None:
        self._session = session
        self._cuda = cuda
        self._classes = classes
        rows = {"features": feature_dim, "frame_mask": 1, "probabilities": classes}
        self._buffers = {name: _device_buffer(count * BATCH_FRAMES) for name, count in rows.items()}
        self._recorded: dict[tuple[int, int], tuple[Any, Any]] = {}

    def run(self, features: _Array, mask: _Array) -> ProbabilityBatch:
        """Return class probabilities (B, C, T) of padded features (B, D, T) and their mask (B, 1, T)."""
        shape = (len(features), features.shape[2])
        if shape not in self._recorded:
            self._recorded[shape] = self._prepare(features, mask)
        binding, options = self._recorded[shape]
        self._cuda.to_device(self._buffers["features"].data_ptr(), features)
        self._cuda.to_device(self._buffers["frame_mask"].data_ptr(), mask)
        self._session.run_with_iobinding(binding, options)
        probabilities = np.empty((shape[0], self._classes, shape[1]), np.float32)
        self._cuda.to_host(probabilities, self._buffers["probabilities"].data_ptr())
        return probabilities

    def _prepare(self, features: _Array, mask: _Array) -> tuple[Any, Any]:
        import onnxruntime

        binding = self._session.io_binding()
        for name, array in (("features", features), ("frame_mask", mask)):
            address = self._buffers[name].data_ptr()
            binding.bind_input(name, "cuda", 0, np.float32, array.shape, address)
        shape = (len(features), self._classes, features.shape[2])
        address = self._buffers["probabilities"].data_ptr()
        binding.bind_output("probabilities", "cuda", 0, np.float32, shape, address)
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(len(self._recorded) + 1))
        return binding, options


def _device_buffer(size: int) -> Any:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_shape_and_type((size,), np.float32, "cuda", 0)
