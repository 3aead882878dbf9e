from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from g2l.errors import InputError, OperationalError
from g2l.inference import gpu_pieces
from g2l.inference.gpu_pieces import CUDA_PROVIDER, missing_piece
from g2l.inference.nvidia import Driver, read_driver
from g2l.inference.devices import Device, confirm, parse_device, plan_providers

COMPLETE = Driver((13, 1), ("a card",))
ALL = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def machine(monkeypatch):
    """A machine whose compiled-in providers, driver and libraries the test decides."""

    def build(*, compiled=ALL, driver=COMPLETE, said="", unloadable=(), torch=None):
        severities = []
        fake = SimpleNamespace(
            get_available_providers=lambda: compiled,
            preload_dlls=lambda: print(said),
            cuda_version="13.0",
            set_default_logger_severity=severities.append,
        )
        monkeypatch.setitem(sys.modules, "onnxruntime", fake)
        monkeypatch.setattr(gpu_pieces, "read_driver", lambda: driver)
        monkeypatch.setattr(gpu_pieces, "loads", lambda name: name not in unloadable)
        monkeypatch.setattr(gpu_pieces, "torch_cuda", lambda: torch)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return severities

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
    severities = machine()
    plan = plan_providers(Device.AUTO)
    assert severities == [4]  # what does not start is told by us, in one line
    assert [name for name, _ in plan.providers] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert plan.providers[0][1] == {"cudnn_conv_algo_search": "HEURISTIC"}
    assert confirm(plan, ALL[1:]) == "cuda by onnxruntime (an NVIDIA device was found)"


def test_auto_takes_the_cpu_quietly_without_a_gpu(machine, capfd):
    machine(driver=None)
    plan = plan_providers(Device.AUTO)
    assert confirm(plan, ["CPUExecutionProvider"]) == "cpu by onnxruntime (no NVIDIA driver was found)"
    assert capfd.readouterr() == ("", "")


def test_a_real_session_by_auto_writes_nothing_to_stderr(capfd):
    if read_driver() is not None:
        pytest.skip("this machine has an NVIDIA device")
    assert plan_providers(Device.AUTO).device is Device.CPU
    assert capfd.readouterr() == ("", "")


CUDNN = ("libcudnn.so.9", "cudnn64_9.dll")
NOT_LOADED = "Failed to load libcublas.so.13: no such file\nPlease follow"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"compiled": ALL[2:]}, "the installed onnxruntime was built without CUDAExecutionProvider."),
        ({"driver": None}, "no NVIDIA driver was found."),
        ({"driver": Driver((13, 0))}, "no NVIDIA device was found."),
        ({"driver": Driver((13, 0), fault=803)}, "the NVIDIA driver does not start (CUDA error 803)."),
        (
            {"driver": Driver((12, 4), ("a card",))},
            "the NVIDIA driver runs CUDA up to 12.4, but onnxruntime was built for CUDA 13.0.",
        ),
        ({"unloadable": CUDNN}, f"{CUDNN[os.name == 'nt']} cannot be loaded."),
        ({"said": NOT_LOADED}, "libcublas.so.13 cannot be loaded."),
        ({"said": "Failed to load /nvidia/libcublas.so.13: cut\n" + NOT_LOADED}, "libcublas.so.13 cannot be"),
        ({"said": NOT_LOADED, "torch": "13.2"}, "libcublas.so.13 cannot be loaded."),
        (
            {"said": NOT_LOADED, "torch": "12.6"},
            "libcublas.so.13 cannot be loaded (onnxruntime was built for CUDA 13.0, torch for CUDA 12.6).",
        ),
    ],
)
def test_a_named_gpu_that_cannot_work_fails_and_names_the_missing_piece(machine, state, message, capfd):
    severities = machine(**state)
    with pytest.raises(InputError) as caught:
        plan_providers(Device.CUDA)
    assert f"`device` cuda cannot be used: {message}" in caught.value.message
    assert "--device cpu" in caught.value.hint
    assert "CUDA 13.0" in caught.value.hint
    plan = plan_providers(Device.AUTO)
    assert plan.device is Device.CPU
    assert confirm(plan, ALL[2:]) == f"cpu by onnxruntime ({missing_piece(CUDA_PROVIDER)})"
    assert severities == []
    assert capfd.readouterr() == ("", "")


def test_libraries_that_load_are_enough_whatever_torch_was_built_for(machine):
    machine(torch="12.6")
    assert missing_piece(CUDA_PROVIDER) is None


def test_hidden_devices_are_told(machine, monkeypatch):
    machine(driver=Driver((13, 0)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    found = missing_piece(CUDA_PROVIDER)
    assert found == "no NVIDIA device was found (CUDA_VISIBLE_DEVICES is '-1')"


def test_nothing_is_known_to_be_missing_of_other_providers(machine):
    machine(compiled=["DmlExecutionProvider", *ALL])
    assert missing_piece("DmlExecutionProvider") is None
    assert missing_piece("CPUExecutionProvider") is None


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
    assert missing_piece(CUDA_PROVIDER) is None
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
