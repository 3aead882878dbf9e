from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from g2l.errors import InputError, OperationalError
from g2l.inference import providers
from g2l.inference.providers import Device, confirm, missing_piece, parse_device, plan_providers

ALL = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def machine(monkeypatch):
    """A machine whose compiled-in providers, devices and libraries the test decides."""

    def build(*, compiled=ALL, devices=1, said="", unloadable=()):
        fake = SimpleNamespace(get_available_providers=lambda: compiled, preload_dlls=lambda: print(said))
        monkeypatch.setitem(sys.modules, "onnxruntime", fake)
        monkeypatch.setattr(providers, "nvidia_devices", lambda: devices)
        monkeypatch.setattr(providers, "_loads", lambda name: name not in unloadable)

    return build


def test_every_device_name_is_known():
    assert [parse_device(name) for name in ("auto", "cpu", "cuda", "tensorrt")] == list(Device)


@pytest.mark.parametrize("name", ["gpu", "CUDA", "", "cuda:0"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(InputError, match="`device` must be one of auto, cpu, cuda, tensorrt, but is"):
        parse_device(name)


def test_cpu_asks_for_nothing_else(machine):
    machine()
    plan = plan_providers(Device.CPU)
    assert plan.providers == (("CPUExecutionProvider", {}),)
    assert confirm(plan, ["CPUExecutionProvider"]) == "cpu by onnxruntime"


def test_auto_takes_a_complete_gpu_and_says_so(machine):
    machine()
    plan = plan_providers(Device.AUTO)
    assert [name for name, _ in plan.providers] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert plan.providers[0][1] == {"cudnn_conv_algo_search": "HEURISTIC"}
    assert confirm(plan, ALL[1:]) == "cuda by onnxruntime (an NVIDIA device was found)"


def test_auto_takes_the_cpu_quietly_without_a_gpu(machine, capfd):
    machine(devices=None)
    plan = plan_providers(Device.AUTO)
    assert confirm(plan, ["CPUExecutionProvider"]) == "cpu by onnxruntime (no NVIDIA driver was found)"
    assert capfd.readouterr() == ("", "")


def test_a_real_session_by_auto_writes_nothing_to_stderr(capfd):
    if providers.nvidia_devices():
        pytest.skip("this machine has an NVIDIA device")
    assert plan_providers(Device.AUTO).device is Device.CPU
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"compiled": ALL[2:]}, "onnxruntime was built without CUDAExecutionProvider"),
        ({"devices": None}, "no NVIDIA driver was found"),
        ({"devices": 0}, "no NVIDIA device was found"),
        ({"unloadable": ("libcudnn.so.9", "cudnn64_9.dll")}, "cudnn.* cannot be loaded"),
        ({"said": "Failed to load libcublas.so.13: no such file\nPlease follow"}, "libcublas.so.13 cannot"),
    ],
)
def test_a_named_gpu_that_cannot_work_fails_and_names_the_missing_piece(machine, state, message):
    machine(**state)
    with pytest.raises(InputError, match=f"`device` cuda cannot be used: .*{message}") as caught:
        plan_providers(Device.CUDA)
    assert "--device cpu" in caught.value.hint
    assert plan_providers(Device.AUTO).device is Device.CPU


def test_tensorrt_comes_before_cuda_and_keeps_its_engines(machine, monkeypatch, tmp_path):
    machine()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = plan_providers(Device.TENSORRT)
    assert [name for name, _ in plan.providers] == ALL
    assert plan.providers[0][1]["trt_engine_cache_path"] == str(tmp_path / "g2l" / "tensorrt")
    assert (tmp_path / "g2l" / "tensorrt").is_dir()


def test_tensorrt_without_a_cache_folder_still_works(machine, monkeypatch, tmp_path):
    machine()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert plan_providers(Device.TENSORRT).providers[0][1] == {}


def test_tensorrt_names_its_own_libraries(machine):
    machine(unloadable=("libnvinfer.so.10", "nvinfer_10.dll"))
    assert missing_piece(Device.CUDA) is None
    with pytest.raises(InputError, match=r"`device` tensorrt cannot be used: .*nvinfer.* cannot be loaded"):
        plan_providers(Device.TENSORRT)


def test_a_session_that_fell_back_is_refused(machine):
    machine()
    with pytest.raises(OperationalError, match="did not start CUDAExecutionProvider and would run on CPU"):
        confirm(plan_providers(Device.CUDA), ["CPUExecutionProvider"])


def test_auto_says_that_a_session_fell_back(machine):
    machine()
    report = confirm(plan_providers(Device.AUTO), ["CPUExecutionProvider"])
    assert report == (
        "cpu by onnxruntime (an NVIDIA device was found, but CUDAExecutionProvider did not start)"
    )


def test_nvidia_devices_reads_the_driver(monkeypatch):
    def count(pointer):
        pointer._obj.value = 2
        return 0

    driver = SimpleNamespace(cuInit=lambda flags: 0, cuDeviceGetCount=count)
    monkeypatch.setattr(providers.ctypes, "CDLL", lambda name: driver)
    assert providers.nvidia_devices() == 2
    driver.cuInit = lambda flags: 100
    assert providers.nvidia_devices() == 0


def test_libraries_are_really_tried():
    assert not providers._loads("libno-such-library.so.10")
