"""Which onnxruntime execution providers to ask for, and whether the one asked for is really there.

onnxruntime falls back to the CPU with a message on stderr when a GPU provider cannot start
(`get_available_providers` lists what was compiled in, not what works). So the pieces a GPU needs are
checked before it is asked for, and what a session took is read back from the session.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from g2l.errors import InputError, OperationalError


class Device(StrEnum):
    """What `--device` may be."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


CPU_PROVIDER = "CPUExecutionProvider"
GPU_PROVIDERS = {Device.CUDA: "CUDAExecutionProvider", Device.TENSORRT: "TensorrtExecutionProvider"}

_LIBRARIES = {
    # cuDNN is optional to onnxruntime, but convolutions do not run without it.
    Device.CUDA: (("libcudnn.so.9",), ("cudnn64_9.dll",)),
    Device.TENSORRT: (
        ("libcudnn.so.9", "libnvinfer.so.10", "libnvonnxparser.so.10"),
        ("cudnn64_9.dll", "nvinfer_10.dll", "nvonnxparser_10.dll"),
    ),
}
"""What each device needs beside what `preload_dlls` complains of: on Linux, and on Windows."""


@dataclass(frozen=True)
class ProviderPlan:
    """What to ask of onnxruntime.

    Attributes:
        device: Cpu, cuda or tensorrt: `auto` is already decided.
        providers: Names with options, in order of preference.
        reason: Why this device, or None when the user named it.
    """

    device: Device
    providers: tuple[tuple[str, Mapping[str, str]], ...]
    reason: str | None = None


def parse_device(name: str) -> Device:
    """Return the device called `name`.

    Raises:
        InputError: There is no such device.
    """
    try:
        return Device(name)
    except ValueError:
        allowed = ", ".join(Device)
        raise InputError(f"`device` must be one of {allowed}, but is {name!r} instead.") from None


def plan_providers(device: Device) -> ProviderPlan:
    """Decide what to ask of onnxruntime; `auto` takes CUDA where it is complete and the CPU elsewhere.

    Raises:
        InputError: A GPU was named, but a piece it needs is missing; the piece is named.
    """
    if device is Device.CPU:
        return ProviderPlan(device, _providers(device))
    wanted = Device.CUDA if device is Device.AUTO else device
    missing = missing_piece(wanted)
    if missing is None:
        reason = "an NVIDIA device was found" if device is Device.AUTO else None
        return ProviderPlan(wanted, _providers(wanted), reason)
    if device is Device.AUTO:
        return ProviderPlan(Device.CPU, _providers(Device.CPU), missing)
    raise InputError(f"`device` {device} cannot be used: {missing}.", hint=_hint(device))


def confirm(plan: ProviderPlan, active: Sequence[str]) -> str:
    """Return a line on what runs the model, once a session exists.

    Args:
        plan: What was asked for.
        active: `session.get_providers()`.

    Raises:
        OperationalError: A GPU was named, but the session runs without it.
    """
    wanted = GPU_PROVIDERS.get(plan.device)
    if wanted is None or wanted in active:
        return f"{plan.device} by onnxruntime" + (f" ({plan.reason})" if plan.reason else "")
    if plan.reason is not None:
        return f"cpu by onnxruntime ({plan.reason}, but {wanted} did not start)"
    raise OperationalError(
        f"`device` {plan.device} cannot be used: onnxruntime did not start {wanted} "
        f"and would run on {', '.join(active)} instead.",
        hint="its own message above names the cause; --device cpu runs without a GPU.",
    )


def missing_piece(device: Device) -> str | None:
    """Return what keeps a GPU from being used, or None; nothing is written to stderr.

    Args:
        device: Cuda or tensorrt.
    """
    if GPU_PROVIDERS[device] not in _compiled_in():
        return f"the installed onnxruntime was built without {GPU_PROVIDERS[device]}"
    count = nvidia_devices()
    if not count:
        return "no NVIDIA driver was found" if count is None else "no NVIDIA device was found"
    absent = _absent_libraries(device)
    return f"{', '.join(absent)} cannot be loaded" if absent else None


def nvidia_devices() -> int | None:
    """Return the number of NVIDIA devices that the driver shows, or None without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return None
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def _compiled_in() -> Sequence[str]:
    import onnxruntime

    providers: list[str] = onnxruntime.get_available_providers()
    return providers


def _absent_libraries(device: Device) -> list[str]:
    """Load what the provider links to, from the nvidia packages where they are installed."""
    import onnxruntime

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        onnxruntime.preload_dlls()
    absent = [
        line.removeprefix("Failed to load ").split(":")[0]
        for line in said.getvalue().splitlines()
        if line.startswith("Failed to load ")
    ]
    if device is Device.TENSORRT:
        with contextlib.suppress(ImportError):
            importlib.import_module("tensorrt")  # loads the libraries its package brings
    return absent + [name for name in _LIBRARIES[device][os.name == "nt"] if not _loads(name)]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _providers(device: Device) -> tuple[tuple[str, Mapping[str, str]], ...]:
    cpu: tuple[str, Mapping[str, str]] = (CPU_PROVIDER, {})
    # EXHAUSTIVE, the default, tunes again for every new length of video.
    cuda = (GPU_PROVIDERS[Device.CUDA], {"cudnn_conv_algo_search": "HEURISTIC"})
    if device is Device.CUDA:
        return (cuda, cpu)
    if device is Device.TENSORRT:
        return ((GPU_PROVIDERS[Device.TENSORRT], _tensorrt_options()), cuda, cpu)
    return (cpu,)


def _tensorrt_options() -> dict[str, str]:
    """Keep built engines, which take minutes, from one process to the next."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "g2l" / "tensorrt"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}
    return {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(cache)}


def _hint(device: Device) -> str:
    packages = "'onnxruntime-gpu[cuda,cudnn]'" + (" tensorrt" if device is Device.TENSORRT else "")
    return f"install the NVIDIA driver and {packages}, or use --device cpu."
