from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from g2l.inference import nvidia
from g2l.inference.nvidia import Driver, cudnn_release, driver_release, loads, read_driver, torch_cuda


def written(value):
    """A function of a library that writes a number to where its last pointer points."""

    def function(*arguments):
        arguments[0]._obj.value = value
        return 0

    return function


class Library(SimpleNamespace):
    """The functions of a library; ctypes gives them attributes of their own."""


@pytest.fixture
def libraries(monkeypatch):
    """The libraries that can be loaded, by name."""
    there = {}

    def load(name):
        if name not in there:
            raise OSError(name)
        return there[name]

    monkeypatch.setattr(nvidia.ctypes, "CDLL", load)
    monkeypatch.setattr(nvidia, "_WINDOWS", False)
    return there


def name_of(text, size, device):
    text.value = f"card {device.value}".encode()
    return 0


def driver(**changes):
    functions = {
        "cuDriverGetVersion": written(12040),
        "cuInit": lambda flags: 0,
        "cuDeviceGetCount": written(2),
        "cuDeviceGet": lambda device, number: setattr(device._obj, "value", number) or 0,
        "cuDeviceGetName": name_of,
    }
    return Library(**functions | changes)


def test_the_driver_tells_its_version_and_devices(libraries):
    assert read_driver() is None
    libraries["libcuda.so.1"] = driver()
    assert read_driver() == Driver((12, 4), ("card 0", "card 1"))


def test_a_driver_without_devices_or_that_does_not_start(libraries):
    libraries["libcuda.so.1"] = driver(cuInit=lambda flags: 100)
    assert read_driver() == Driver((12, 4))
    libraries["libcuda.so.1"] = driver(cuInit=lambda flags: 803)
    assert read_driver() == Driver((12, 4), fault=803)
    libraries["libcuda.so.1"] = driver(cuDeviceGetCount=written(0))
    assert read_driver() == Driver((12, 4))


def test_a_device_without_a_name_has_a_number(libraries):
    libraries["libcuda.so.1"] = driver(cuDeviceGetName=lambda *_: 1)
    assert read_driver().devices == ("device 0", "device 1")


def test_releases(libraries):
    assert (driver_release(), cudnn_release()) == (None, None)

    def release(text, size):
        text.value = b"580.65.06"
        return 0

    libraries["libnvidia-ml.so.1"] = Library(
        nvmlInit_v2=lambda: 0, nvmlSystemGetDriverVersion=release, nvmlShutdown=lambda: 0
    )
    assert driver_release() == "580.65.06"
    libraries["libnvidia-ml.so.1"].nvmlInit_v2 = lambda: 9
    assert driver_release() is None

    def version():
        return 91002

    libraries["libcudnn.so.9"] = Library(cudnnGetVersion=version)
    assert cudnn_release() == "9.10.2"
    assert version.restype is ctypes.c_size_t


@pytest.mark.parametrize(
    ("text", "cuda"),
    [
        ("from typing import Optional\ncuda: Optional[str] = '12.6'\nhip = None\n", "12.6"),
        ("cuda = '13.0'", "13.0"),
        ("cuda: str | None = None", None),
        ("cuda = print()", None),
        ("hip = '6'", None),
        ("cuda = (", None),
        (None, None),
    ],
)
def test_the_cuda_of_torch_is_read_and_not_run(text, cuda, tmp_path, monkeypatch):
    if text is not None:
        (tmp_path / "version.py").write_text(text)
    found = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(nvidia.importlib.util, "find_spec", lambda name: found)
    assert torch_cuda() == cuda


def test_the_cuda_of_this_torch():
    import torch

    assert torch_cuda() == torch.version.cuda


def test_without_torch(monkeypatch):
    monkeypatch.setattr(nvidia.importlib.util, "find_spec", lambda name: None)
    assert torch_cuda() is None


def test_libraries_are_really_tried():
    assert not loads("libno-such-library.so.10")
