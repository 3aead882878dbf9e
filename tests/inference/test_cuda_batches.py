"""What a GPU would be asked to do, with fakes in its place: a device whose memory is the host's own."""

from __future__ import annotations

import ctypes
import gc
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from g2l.errors import OperationalError
from g2l.inference import cuda, cuda_batches, onnx_session
from g2l.inference.cuda import CudaRuntime
from g2l.inference.cuda_batches import CudaBatchSession, frame_masks
from g2l.inference.onnx_session import OnnxSession
from g2l.inference.devices import CPU_PROVIDER, GPU_PROVIDERS, Device, ProviderPlan
from g2l.inference.sessions import BatchSession
from tests.inference.test_sessions import write_graph


class FakeLibrary:
    """CUDA's runtime library: copies on the host, and a lock that can be refused."""

    def __init__(self):
        self.locked = {}
        self.status = self.synchronized = 0
        self.cudaHostRegister, self.cudaHostUnregister = self._lock, self._unlock
        self.cudaMemcpy, self.cudaStreamSynchronize = self._copy, self._wait

    def _lock(self, address, size, flags):
        self.locked[address.value] = (size.value, flags)
        return self.status

    def _unlock(self, address):
        del self.locked[address.value]

    def _wait(self, stream):
        assert stream is None  # that of the copies
        self.synchronized += 1

    def _copy(self, target, source, size, kind):
        if self.status == 0:
            ctypes.memmove(target, source, size.value)
        return self.status


class FakeBuffer:
    def __init__(self, size):
        self.array = np.zeros(size, np.float32)

    def data_ptr(self):
        return self.array.ctypes.data


class FakeRecorded:
    """A session that is recorded: it computes at the addresses it was bound to at the first run."""

    def __init__(self, failing=False):
        self.failing = failing
        self.graphs = {}

    def io_binding(self):
        return FakeBinding()

    def run_with_iobinding(self, binding, options):
        if self.failing:
            raise RuntimeError("operation not permitted when\nstream is capturing")
        graph = options.get_run_config_entry("gpu_graph_id")
        bound = self.graphs.setdefault(graph, binding)
        assert bound is binding
        features, mask, out = (
            at(*binding.bound[name]) for name in ("features", "frame_mask", "probabilities")
        )
        out[:] = (features * mask)[:, : out.shape[1]]


class FakeBinding:
    def __init__(self):
        self.bound = {}

    def bind_input(self, name, device, number, dtype, shape, address):
        assert (device, number, dtype) == ("cuda", 0, np.float32)
        self.bound[name] = (address, shape)

    bind_output = bind_input


def at(address, shape):
    count = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(shape)


class FakeOnnx:
    """Of an `OnnxSession`, what the batches use."""

    device_report, fingerprint = "a fake", "1234"

    def __init__(self, metadata, recorded):
        self.metadata = metadata
        self.recorded = recorded
        self.bound = []

    def reopened(self, options):
        assert options == {"enable_cuda_graph": "1"}
        if isinstance(self.recorded, Exception):
            raise self.recorded
        return self.recorded

    def run_bound(self, inputs):
        self.bound.append({name: array.shape for name, array in inputs.items()})
        return (inputs["features"] * inputs["frame_mask"])[:, :3]


@pytest.fixture
def library(monkeypatch):
    monkeypatch.setattr(cuda_batches, "_device_buffer", FakeBuffer)
    return FakeLibrary()


def batch(rows, frames, seed=0):
    return np.random.default_rng(seed).random((rows, 6, frames), np.float32)


def expected(features, lengths):
    return (features * frame_masks(lengths, len(features), features.shape[2]))[:, :3]


def test_masks_are_one_where_there_are_frames():
    assert frame_masks([2, 0], 3, 3).tolist() == [[[1, 1, 0]], [[0, 0, 0]], [[0, 0, 0]]]


def test_each_shape_is_recorded_once_at_the_same_addresses(metadata, library):
    recorded = FakeRecorded()
    session = CudaBatchSession(FakeOnnx(metadata, recorded), CudaRuntime(library))
    assert isinstance(session, BatchSession)
    for number, (rows, frames) in enumerate([(4, 64), (2, 128), (4, 64), (4, 64), (2, 128)]):
        features = batch(rows, frames, number)
        lengths = [frames - number] * (rows - 1)
        np.testing.assert_array_equal(session.batch(features, lengths), expected(features, lengths))
    assert sorted(recorded.graphs) == ["1", "2"]
    assert library.synchronized == 5 * 2  # features and mask have arrived before they are computed with
    addresses = [{name: where for name, (where, _) in one.bound.items()} for one in recorded.graphs.values()]
    assert addresses[0] == addresses[1]
    assert session._session.bound == []


def test_where_recording_fails_the_batch_runs_without(metadata, library, caplog):
    caplog.set_level("INFO", "g2l")
    inner = FakeOnnx(metadata, FakeRecorded(failing=True))
    session = CudaBatchSession(inner, CudaRuntime(library))
    features = batch(2, 64)
    for _ in range(2):
        np.testing.assert_array_equal(session.batch(features, [64, 9]), expected(features, [64, 9]))
    assert inner.bound == [{"features": (2, 6, 64), "frame_mask": (2, 1, 64)}] * 2
    assert caplog.messages == ["CUDA graphs are not used: operation not permitted when stream is capturing"]


@pytest.mark.parametrize("found", [True, False])
def test_a_model_that_cannot_be_recorded_runs_bound(metadata, library, found, caplog):
    caplog.set_level("INFO", "g2l")
    inner = FakeOnnx(metadata, OperationalError("a node runs on the CPU"))
    session = CudaBatchSession(inner, CudaRuntime(library) if found else None)
    features = batch(2, 64)
    np.testing.assert_array_equal(session.batch(features, [1]), expected(features, [1]))
    assert session.allocate(10).shape == (10,)
    assert len(caplog.messages) == found
    assert session.fingerprint == "1234"


def test_memory_is_locked_as_long_as_it_is_used(library):
    array = CudaRuntime(library).pinned_array(1000)
    assert library.locked == {array.ctypes.data: (4000, 0)}
    assert array.ctypes.data % 4096 == 0
    del array
    gc.collect()
    assert library.locked == {}


def test_memory_that_cannot_be_locked_is_used_all_the_same(library):
    library.status = 2
    array = CudaRuntime(library).pinned_array(10)
    array[:] = 1
    del array
    gc.collect()
    assert len(library.locked) == 1  # nothing was unlocked that had not been locked


def test_a_copy_that_fails_is_an_operational_error(library):
    library.status = 700
    with pytest.raises(
        OperationalError, match=r"copying 8 bytes from or to the GPU failed \(CUDA error 700\)"
    ):
        CudaRuntime(library).to_host(np.zeros(2, np.float32), 0)


def test_the_library_is_looked_for_by_its_names(monkeypatch):
    asked = []

    def load(name):
        asked.append(name)
        if len(asked) < 2:
            raise OSError
        return "library"

    monkeypatch.setattr(cuda.ctypes, "CDLL", load)
    assert CudaRuntime.find()._library == "library"
    assert asked == ["libcudart.so.13", "libcudart.so.12"]


@pytest.mark.parametrize("masked", [True, False])
def test_tensorrt_is_told_the_lengths_before_it_builds_an_engine(metadata, tmp_path, monkeypatch, masked):
    path = write_graph(tmp_path / "m.onnx", replace(metadata, feature_dim=3), masked=masked)
    plan = ProviderPlan(Device.TENSORRT, ((GPU_PROVIDERS[Device.TENSORRT], {"a": "b"}), (CPU_PROVIDER, {})))
    monkeypatch.setattr(onnx_session, "plan_providers", lambda device: plan)
    asked = []
    original = onnxruntime.InferenceSession

    def make(file, options, providers, **others):
        asked.append(providers)
        return original(file, options, providers=[CPU_PROVIDER], **others)

    monkeypatch.setattr(onnxruntime, "InferenceSession", make)
    with pytest.raises(OperationalError, match="did not start TensorrtExecutionProvider"):
        OnnxSession(path, Device.TENSORRT)
    mask = ["", ",frame_mask:1x1x{}"][masked]
    assert dict(asked[-1])[GPU_PROVIDERS[Device.TENSORRT]] == {
        "a": "b",
        "trt_profile_min_shapes": f"features:1x3x1{mask.format(1)}",
        "trt_profile_opt_shapes": f"features:1x3x4096{mask.format(4096)}",
        "trt_profile_max_shapes": f"features:1x3x262144{mask.format(262144)}",
    }
