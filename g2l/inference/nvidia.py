"""What there is of NVIDIA's driver and libraries, asked by ctypes, without torch and onnxruntime."""

from __future__ import annotations

import ast
import contextlib
import ctypes
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WINDOWS = os.name == "nt"
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_NAME_BYTES = 256


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver.

    Attributes:
        cuda: Newest version of CUDA that it runs, such as (12, 4).
        devices: Names of the devices that it shows.
        fault: Number of the CUDA error that keeps it from starting, or None.
    """

    cuda: tuple[int, int]
    devices: tuple[str, ...] = ()
    fault: int | None = None


def read_driver() -> Driver | None:
    """Return the driver, or None without one."""
    library = _load("nvcuda.dll" if _WINDOWS else "libcuda.so.1")
    if library is None:
        return None
    cuda = _version(library.cuDriverGetVersion) or 0
    version = (cuda // 1000, cuda % 1000 // 10)
    error = library.cuInit(0)
    count = ctypes.c_int(0)
    error = error or library.cuDeviceGetCount(ctypes.byref(count))
    if error:
        return Driver(version, fault=None if error == _NO_DEVICE else error)
    return Driver(version, tuple(_device_name(library, number) for number in range(count.value)))


def driver_release() -> str | None:
    """Return the release of the driver, such as `580.65.06`, or None where it does not tell."""
    library = _load("nvml.dll" if _WINDOWS else "libnvidia-ml.so.1")
    if library is None or library.nvmlInit_v2() != 0:
        return None
    text = ctypes.create_string_buffer(_NAME_BYTES)
    error = library.nvmlSystemGetDriverVersion(text, _NAME_BYTES)
    library.nvmlShutdown()
    return None if error else text.value.decode(errors="replace")


def cudnn_release() -> str | None:
    """Return the version of cuDNN, such as `9.10.2`, or None without it."""
    library = _load("cudnn64_9.dll" if _WINDOWS else "libcudnn.so.9")
    if library is None:
        return None
    library.cudnnGetVersion.restype = ctypes.c_size_t
    number = library.cudnnGetVersion()
    return f"{number // 10000}.{number % 10000 // 100}.{number % 100}"


def torch_cuda() -> str | None:
    """Return the version of CUDA that torch was built for, or None without torch or for its CPU build.

    It stands in `torch/version.py`, which is read and not run: importing torch takes a second.
    """
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    with contextlib.suppress(OSError, SyntaxError):
        return _assigned(ast.parse(Path(found.origin).with_name("version.py").read_text()), "cuda")
    return None


def loads(library: str) -> bool:
    """Return whether a library can be loaded."""
    return _load(library) is not None


def _load(library: str) -> Any:
    try:
        return ctypes.CDLL(library)
    except OSError:
        return None


def _version(function: Any) -> int | None:
    number = ctypes.c_int(0)
    return None if function(ctypes.byref(number)) else number.value


def _device_name(library: Any, number: int) -> str:
    device, name = ctypes.c_int(0), ctypes.create_string_buffer(_NAME_BYTES)
    error = library.cuDeviceGet(ctypes.byref(device), number)
    error = error or library.cuDeviceGetName(name, _NAME_BYTES, device)
    return f"device {number}" if error else name.value.decode(errors="replace")


def _assigned(module: ast.Module, name: str) -> str | None:
    """Return the text that a module assigns to `name`, or None."""
    for node in module.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
    return None
